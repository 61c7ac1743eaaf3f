// Package locale has the words of Curfew in every language that it speaks: those of pages, of the
// browser client and of errors. The command line, the logs and JSON stay English.
//
// The words of a language are one file, words/TAG.json, in the format of go-i18n: a text by its
// key, or its plural forms (CLDR) where it depends on a number. The part of a key before its first
// dot says where the text is shown. English has every key; the tests hold the others to it.
package locale

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"github.com/nicksnyder/go-i18n/v2/i18n/template"
	"golang.org/x/text/language"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

//go:embed words/*.json
var files embed.FS

// names are the languages there are, English first: whoever asks for none of them gets that.
var names = []string{"en", "de", "fr", "es", "it", "nl", "pl", "cs", "ca", "pt-BR", "pt-PT", "ar", "ja"}

// Pseudo is a language for testing: English with every text in brackets, so that text of a page
// that is in no file is seen (BCP 47 calls it English with accents).
const Pseudo = "en-XA"

// Names returns the BCP 47 tags of all languages that people read, English first.
func Names() []string { return slices.Clone(names) }

// Locale is one language. It may be used concurrently.
type Locale struct {
	Name string // its BCP 47 tag, as an HTML lang attribute has it
	Dir  string // ltr or rtl, as an HTML dir attribute has it

	texts     map[string]*i18n.Message
	localizer *i18n.Localizer
	printer   *message.Printer
}

// load reads all languages.
var load = sync.OnceValue(func() map[string]*Locale {
	bundle := i18n.NewBundle(language.English)
	all := make(map[string]*Locale)
	for _, name := range names {
		data, err := files.ReadFile("words/" + name + ".json")
		if err != nil {
			panic(err)
		}
		file, err := bundle.ParseMessageFileBytes(data, name+".json")
		if err != nil {
			panic(fmt.Errorf("locale %s: %w", name, err)) // embedded: the tests find it
		}
		all[name] = newLocale(bundle, name, file.Messages)
	}
	pseudo := pseudoOf(all["en"].texts)
	if err := bundle.AddMessages(language.MustParse(Pseudo), pseudo...); err != nil {
		panic(err)
	}
	all[Pseudo] = newLocale(bundle, Pseudo, pseudo)
	return all
})

func newLocale(bundle *i18n.Bundle, name string, texts []*i18n.Message) *Locale {
	tag := language.MustParse(name)
	l := &Locale{
		Name:      name,
		Dir:       "ltr",
		texts:     make(map[string]*i18n.Message, len(texts)),
		localizer: i18n.NewLocalizer(bundle, name),
		// Digits are Latin ones everywhere, as in the addresses and times beside them.
		printer: message.NewPrinter(language.MustParse(name + "-u-nu-latn")),
	}
	if script, _ := tag.Script(); script.String() == "Arab" {
		l.Dir = "rtl"
	}
	for _, text := range texts {
		l.texts[text.ID] = text
	}
	return l
}

// pseudoOf puts every text into brackets.
func pseudoOf(texts map[string]*i18n.Message) []*i18n.Message {
	mark := func(form string) string {
		if form == "" {
			return ""
		}
		return "⟦" + form + "⟧"
	}
	var pseudo []*i18n.Message
	for _, id := range slices.Sorted(maps.Keys(texts)) {
		text := *texts[id]
		text.One, text.Other = mark(text.One), mark(text.Other)
		pseudo = append(pseudo, &text)
	}
	return pseudo
}

// English is the language of programs, and of whoever asks for none that there is.
func English() *Locale { return load()["en"] }

// Of is the language of that name; ok is false where there is none.
func Of(name string) (l *Locale, ok bool) {
	l, ok = load()[name]
	return l, ok
}

// Data are the values in a text, by their names. Count, a number, chooses the plural form.
type Data map[string]any

// Pairs are data of names and values that alternate.
func Pairs(pairs ...any) Data {
	if len(pairs) == 0 {
		return nil
	}
	data := make(Data, len(pairs)/2)
	for i := 0; i+1 < len(pairs); i += 2 {
		data[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return data
}

// strict refuses to write a text that lacks a value.
var strict = template.TextParser{Option: "missingkey=error"}

// Say is the text of a key with data in it. Whole numbers in data are written as the language
// writes them, and texts in it do not disturb the direction of the sentence. Its error is that of a
// key that there is not, or of data that is missing.
func (l *Locale) Say(key string, data Data) (string, error) {
	c := &i18n.LocalizeConfig{MessageID: key, TemplateParser: &strict}
	if n, ok := data["Count"]; ok {
		c.PluralCount = n
	}
	c.TemplateData = l.written(data)
	text, err := l.localizer.Localize(c)
	if text == "" && err != nil { // with both, English stands in
		return "", fmt.Errorf("say %s in %s: %w", key, l.Name, err)
	}
	return text, nil
}

// written is data with its numbers as the language writes them, and its texts isolated.
func (l *Locale) written(data Data) Data {
	written := make(Data, len(data))
	for name, v := range data {
		switch v := v.(type) {
		case int:
			written[name] = l.Number(v)
		case string:
			written[name] = l.Isolated(v)
		default:
			written[name] = v
		}
	}
	return written
}

// Number is n as the language writes it.
func (l *Locale) Number(n int) string { return l.printer.Sprint(number.Decimal(n)) }

// Part returns the texts whose keys begin with one of these prefixes, as JSON: a text by its key,
// or an object of its plural forms. Values in it stand as {{.Name}}.
func (l *Locale) Part(prefixes ...string) []byte {
	part := make(map[string]any)
	for id, text := range l.texts {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(id, p) }) {
			part[id] = formsOf(text)
		}
	}
	data, err := json.Marshal(part) // in the order of the keys
	if err != nil {
		panic(err) // texts always encode
	}
	return data
}

// formsOf is a text, or its plural forms where it has any but the last.
func formsOf(text *i18n.Message) any {
	forms := map[string]string{"zero": text.Zero, "one": text.One, "two": text.Two, "few": text.Few,
		"many": text.Many, "other": text.Other}
	maps.DeleteFunc(forms, func(_, form string) bool { return form == "" })
	if len(forms) == 1 {
		return text.Other
	}
	return forms
}
