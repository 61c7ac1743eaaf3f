package main

import (
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The page that tells the ratios. What was measured is written there by the command itself, so that
// nobody copies a figure.

var writeTo = flag.String("write", "", "the page that the table and the plots of all ratios are written into")

// The section of the page that is written lies between these lines.
const (
	pageBegins = "<!-- begin: written by the benchmark -->\n"
	pageEnds   = "<!-- end: written by the benchmark -->\n"
)

// splitPage returns what is before and after the section.
func splitPage() (before, after string) {
	page, err := os.ReadFile(*writeTo)
	check(err)
	before, rest, ok1 := strings.Cut(string(page), pageBegins)
	_, after, ok2 := strings.Cut(rest, pageEnds)
	if !ok1 || !ok2 {
		log.Fatalf("%s has no section that begins with %s and ends with %s", *writeTo, pageBegins, pageEnds)
	}
	return before + pageBegins, pageEnds + after
}

// table is what was measured of the ratios.
func table() string {
	var b strings.Builder
	b.WriteString(tableHead)
	for _, f := range figures {
		b.WriteString(f.row())
	}
	return b.String()
}

// tellRatios prints what was measured of the ratios, and writes it into the page.
func tellRatios() {
	if len(measured) == 0 {
		return
	}
	text := fmt.Sprintf("Measured on %s, medians of %d rounds, on %s:\n\n%s", time.Now().Format(time.DateOnly),
		*ratioRounds, machine(), table())
	fmt.Printf("\n%s", text)
	if *writeTo == "" {
		return
	}
	before, after := splitPage()
	folder := strings.TrimSuffix(*writeTo, ".md")
	check(os.MkdirAll(folder, 0o755))
	for _, p := range []struct {
		name string
		plot *plot
	}{
		{"memory", memoryPlot()},
		{"logout", toldPlot("logout", "Told of a forced logout: one user's tabs", *tabs)},
		{"notice", toldPlot("notice", "Told of a notice: everybody's tabs", *many)},
	} {
		p.plot.write(filepath.Join(folder, p.name+".svg"))
		text += fmt.Sprintf("\n![%s](%s/%s.svg)\n", p.plot.title, filepath.Base(folder), p.name)
	}
	check(os.WriteFile(*writeTo, []byte(before+text+after), 0o644))
}

func memoryPlot() *plot {
	p := &plot{title: "Memory while tabs are opened, and five seconds later (dots)", x: "open tabs", y: "MB"}
	for _, series := range []string{"curfew", "curfew-each", "lean", "handler", "centrifugo"} {
		l := line{series: series, dot: true}
		for _, s := range memoryCurves[series] {
			l.points = append(l.points, point{float64(s.tabs), s.bytes / 1e6})
		}
		p.lines = append(p.lines, l)
	}
	return p
}

// toldPlot shows how many of the tabs were told by when.
func toldPlot(part, title string, n int) *plot {
	p := &plot{title: fmt.Sprintf("%s, %d of them", title, n), x: "ms since the call", y: "% of tabs"}
	for _, series := range []string{"curfew", "lean", "writer-each", "centrifugo"} {
		ms := toldCurves[part][series]
		if len(ms) == 0 {
			continue
		}
		l := line{series: series}
		for percent := 0.0; percent <= 100; percent++ {
			l.points = append(l.points, point{percentile(ms, max(percent/100, 1/float64(len(ms)))), percent})
		}
		p.lines = append(p.lines, l)
	}
	return p
}
