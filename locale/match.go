package locale

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// Choice is the languages of which a site offers some. It may be used concurrently.
type Choice struct {
	offered []*Locale
	matcher language.Matcher
	tags    []language.Tag
	pseudo  *Locale // nil: it is not offered
}

// NewChoice offers these languages, each by its name. English is what there is where none fits, or
// else the first. Its error names a language that there is not.
func NewChoice(names ...string) (*Choice, error) {
	c := &Choice{}
	for _, name := range names {
		l, ok := Of(name)
		if !ok {
			return nil, unknownError(name)
		}
		c.offered = append(c.offered, l)
		c.tags = append(c.tags, language.MustParse(name))
	}
	if len(c.offered) == 0 {
		return All(), nil
	}
	c.matcher = language.NewMatcher(c.tags)
	return c, nil
}

// All offers all languages that people read.
func All() *Choice {
	c, err := NewChoice(Names()...)
	if err != nil {
		panic(err) // they are our own
	}
	return c
}

// WithPseudo offers [Pseudo] as well, to whoever asks for exactly that.
func (c *Choice) WithPseudo() *Choice {
	with := *c
	with.pseudo = load()[Pseudo]
	return &with
}

type unknownError string

func (e unknownError) Error() string { return "there is no language " + string(e) }

// Offered returns the names of the languages, in the order in which they were given.
func (c *Choice) Offered() []string {
	names := make([]string, len(c.offered))
	for i, l := range c.offered {
		names[i] = l.Name
	}
	return names
}

// Standard is what there is where no language fits.
func (c *Choice) Standard() *Locale {
	if i := slices.IndexFunc(c.offered, func(l *Locale) bool { return l.Name == "en" }); i >= 0 {
		return c.offered[i]
	}
	return c.offered[0]
}

// Named finds the language that a person has named, as in ?lang=de-AT. There is none for a text
// that is no language, or for one that is not offered.
func (c *Choice) Named(text string) (*Locale, bool) {
	tag, err := language.Parse(text)
	if err != nil {
		return nil, false
	}
	return c.match(tag, true)
}

// Accepted finds the language for the value of a header Accept-Language (RFC 9110 §12.5.4). One of
// quality 0 is never taken. Of several, the first that is offered, of whatever region; else the
// first whose readers mostly understand one that is offered. What is no language is passed over.
func (c *Choice) Accepted(header string) *Locale {
	type weighed struct {
		tag     language.Tag
		quality float64
	}
	var wanted []weighed
	refused := make(map[string]bool)
	for i, part := range strings.SplitN(header, ",", maxPreferred+1) {
		if i == maxPreferred {
			break // all that is left
		}
		name, parameter, _ := strings.Cut(part, ";")
		tag, err := language.Parse(strings.TrimSpace(name))
		if err != nil {
			continue
		}
		quality := 1.0
		if weight, ok := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q="); ok {
			quality, err = strconv.ParseFloat(weight, 64)
		}
		if err != nil || quality <= 0 {
			refused[tag.String()] = true
			continue
		}
		wanted = append(wanted, weighed{tag, quality})
	}
	slices.SortStableFunc(wanted, func(a, b weighed) int { return cmp.Compare(b.quality, a.quality) })
	tags := make([]language.Tag, len(wanted))
	for i, w := range wanted {
		tags[i] = w.tag
	}
	return c.first(tags, refused)
}

// Preferred finds the language for those that a person prefers, the most preferred first, as
// Accepted does.
func (c *Choice) Preferred(names []string) *Locale {
	var wanted []language.Tag
	for _, name := range names[:min(len(names), maxPreferred)] {
		if tag, err := language.Parse(name); err == nil {
			wanted = append(wanted, tag)
		}
	}
	return c.first(wanted, nil)
}

// maxPreferred is of how many preferred languages the others are not looked at.
const maxPreferred = 50

func (c *Choice) first(wanted []language.Tag, refused map[string]bool) *Locale {
	for _, isSame := range []bool{true, false} {
		for _, tag := range wanted {
			if l, ok := c.match(tag, isSame); ok && !refused[l.Name] {
				return l
			}
		}
	}
	return c.Standard()
}

// match finds the offered language that is nearest to tag: the same, or else one that who reads tag
// mostly understands as well, as the CLDR has it.
func (c *Choice) match(tag language.Tag, isSame bool) (*Locale, bool) {
	if c.pseudo != nil && tag.String() == Pseudo {
		return c.pseudo, true
	}
	_, i, confidence := c.matcher.Match(tag)
	if confidence == language.No || tag == language.Und {
		return nil, false
	}
	asked, _ := tag.Base()
	found, _ := c.tags[i].Base()
	return c.offered[i], !isSame || asked == found
}
