package main

import (
	"flag"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Ratios of one run: each figure of Curfew is measured in turn with what it is compared with, round
// after round, and the median of the rounds' ratios is held against a limit. Every part can be
// measured alone.

var (
	ratioRounds = flag.Int("rounds", 5, "rounds of each of the ratios")
	many        = flag.Int("many", 19_500, "open tabs of memory, rest and notice")
)

// ratioParts are what -only ratios stands for, in order. Those after which the load gives way to
// the servers come last; see giveWay.
var ratioParts = []string{"memory", "tls", "openings", "heartbeats", "rest", "status", "logout", "notice"}

// figure is a row of the table. Its values are those of series that a part records.
type figure struct {
	part, what   string
	own          string // the series that is held against the limit
	base, other  string // what it is compared with; other is only shown. Empty: nothing
	baseIs       string // base, in words
	otherIs      string
	centrifugo   string
	limit        float64
	least        bool    // the ratio is to be that at least
	extra        float64 // what Curfew may have beyond the base
	format       string  // of a value
	perUnit      float64 // how much of a value is one of the format; 0: one
	withoutLimit bool
}

var figures = slices.Concat(memoryFigures, tlsFigures, speedFigures, tellingFigures)

var memoryFigures = []*figure{
	{
		part: "memory", what: "memory of a tab, 5 s after opening", own: "curfew", base: "lean", other: "handler",
		baseIs: leanest, otherIs: inHandler, centrifugo: "centrifugo", limit: 0.9, format: "%.1f KB", perUnit: 1000,
	},
	{
		part: "memory", what: "… after a minute of heartbeats", own: "curfew, after heartbeats", base: "lean",
		baseIs: leanest + ", 5 s after opening", limit: 0.9, format: "%.1f KB", perUnit: 1000,
	},
	{
		part: "memory", what: "… with a session each", own: "curfew-each", base: "lean",
		baseIs: leanest, limit: 0.9, extra: 2048, format: "%.1f KB", perUnit: 1000,
	},
	{
		part: "memory", what: "… of that pages of the store's file, which the kernel may take back",
		own: "curfew-each, of the file", withoutLimit: true, format: "%.1f KB", perUnit: 1000,
	},
	{
		part: "memory", what: "… with a session each, after a minute of heartbeats",
		own: "curfew-each, after heartbeats", base: "lean", baseIs: leanest + ", 5 s after opening",
		limit: 0.9, extra: 2048, format: "%.1f KB", perUnit: 1000,
	},
	{
		part: "memory", what: "a wave of openings is over: memory is given back after", own: "curfew, given back",
		limit: 4, format: "%.1f s",
	},
}

var tlsFigures = []*figure{
	{
		part: "tls", what: "memory of a tab over TLS, 5 s after opening", own: "curfew", base: "lean",
		baseIs: leanest, withoutLimit: true, format: "%.1f KB", perUnit: 1000,
	},
	{
		part: "tls", what: "… after a heartbeat", own: "curfew, after heartbeats", base: "lean, after heartbeats",
		baseIs: leanest, withoutLimit: true, format: "%.1f KB", perUnit: 1000,
	},
}

var speedFigures = []*figure{
	{
		part: "openings", what: "openings a second", own: "curfew", base: "handler", other: "lean",
		baseIs: inHandler, otherIs: leanest, centrifugo: "centrifugo", limit: 0.85, least: true, format: "%.0f",
	},
	{
		part: "openings", what: "CPU of an opening", own: "curfew, CPU", base: "handler, CPU", other: "lean, CPU",
		baseIs: inHandler, otherIs: leanest, centrifugo: "centrifugo, CPU", withoutLimit: true, format: "%.0f µs",
	},
	{
		part: "heartbeats", what: "CPU of a heartbeat", own: "curfew", base: "lean", other: "handler",
		baseIs: leanest, otherIs: inHandler, centrifugo: "centrifugo", limit: 1.15, format: "%.1f µs",
	},
	{
		part: "rest", what: "CPU at rest, of a core", own: "curfew", base: "lean", baseIs: "bare, with the same ticks",
		centrifugo: "centrifugo", limit: 1.3, format: "%.2f %%",
	},
	{
		part: "status", what: "`GET /session/status` a second", own: "status", base: "healthz", baseIs: "`/healthz`",
		limit: 0.8, least: true, format: "%.0f",
	},
	{
		part: "status", what: "… over Redis", own: "status over Redis", base: "healthz over Redis",
		baseIs: "`/healthz`", withoutLimit: true, format: "%.0f",
	},
	{
		part: "status", what: "round trips to Redis of a check", own: "round trips", limit: 1, format: "%.1f",
	},
}

var tellingFigures = []*figure{
	{
		part: "logout", what: "one user's tabs are told of a forced logout, p99", own: "curfew", base: "lean",
		other: "writer-each", baseIs: "bare writes by as many writers as cores", otherIs: "by a writer each",
		centrifugo: "centrifugo", limit: 1.5, format: "%.0f ms",
	},
	{
		part: "logout", what: "… and all have acknowledged and are closed", own: "curfew, closed", withoutLimit: true,
		format: "%.0f ms",
	},
	{
		part: "notice", what: "a notice to everyone, p99", own: "curfew", base: "lean",
		baseIs: "bare writes by as many writers as cores", centrifugo: "centrifugo", limit: 1.1, format: "%.0f ms",
	},
	{
		part: "notice", what: "… CPU of telling a tab, and of its acknowledgement", own: "curfew, CPU",
		base: "lean, CPU", baseIs: "bare writes and reads", centrifugo: "centrifugo, CPU", withoutLimit: true,
		format: "%.1f µs",
	},
}

// How the two bare ways are called.
const (
	leanest   = "leanest bare"
	inHandler = "bare, in the handler"
)

// measured holds the values of each round, by part and series.
var measured = make(map[string]map[string][]float64)

func note(part, series string, value float64) {
	if measured[part] == nil {
		measured[part] = make(map[string][]float64)
	}
	measured[part][series] = append(measured[part][series], value)
	fmt.Printf("  %-44s %12.2f\n", series, value)
}

// inRounds measures a part as often as is asked for.
func inRounds(part string, round func()) {
	for i := range *ratioRounds {
		fmt.Printf("\n%s, round %d\n", part, i+1)
		round()
	}
}

// values are those of a series in the order of the rounds; nil if there are none.
func (f *figure) values(series string) []float64 { return measured[f.part][series] }

// ratios are those of the rounds, sorted; none if the base has taken no part. Without a base they
// are the values themselves.
func (f *figure) ratios() (list []float64) {
	for i, own := range f.values(f.own) {
		if f.base != "" {
			base := f.values(f.base)
			if i >= len(base) {
				return nil
			}
			own = (own - f.extra) / base[i]
		}
		list = append(list, own)
	}
	slices.Sort(list)
	return list
}

// held reports whether the median ratio keeps the limit, at the precision at which it is shown.
func (f *figure) held() bool {
	shown := f.shownRatio(middle(f.ratios()))
	var ratio float64
	_, err := fmt.Sscan(shown, &ratio)
	check(err)
	if f.least {
		return ratio >= f.limit
	}
	return ratio <= f.limit
}

func (f *figure) shownRatio(ratio float64) string {
	if f.base == "" {
		return fmt.Sprintf("%.1f", ratio)
	}
	return fmt.Sprintf("%.2f", ratio)
}

// shown is the median of a series; empty if there is none.
func (f *figure) shown(series, is string) string {
	values := f.values(series)
	if len(values) == 0 {
		return ""
	}
	value := middle(slices.Clone(values))
	if math.IsInf(value, 1) {
		return "never"
	}
	if f.perUnit > 0 {
		value /= f.perUnit
	}
	text := fmt.Sprintf(f.format, value)
	if is != "" {
		text += " (" + is + ")"
	}
	return text
}

const tableHead = "| figure | Curfew | beside it | ratio (least to most) | limit | held | other | Centrifugo 6 |\n" +
	"|---|---|---|---|---|---|---|---|\n"

// row is the figure as a row of the table.
func (f *figure) row() string {
	if len(f.values(f.own)) == 0 {
		return ""
	}
	ratios, ratio := f.ratios(), ""
	if f.base != "" && len(ratios) > 0 {
		ratio = fmt.Sprintf("%s (%s to %s)", f.shownRatio(middle(ratios)), f.shownRatio(ratios[0]),
			f.shownRatio(ratios[len(ratios)-1]))
	}
	limit, held := "", ""
	if !f.withoutLimit && len(ratios) > 0 {
		limit, held = "at most ", "**no**"
		if f.least {
			limit = "at least "
		}
		limit += fmt.Sprint(f.limit)
		if f.extra > 0 {
			limit += ", and 2 KB"
		}
		if f.held() {
			held = "yes"
		}
	}
	cells := []string{f.what, f.shown(f.own, ""), f.shown(f.base, f.baseIs), ratio, limit, held,
		f.shown(f.other, f.otherIs), f.shown(f.centrifugo, "")}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
