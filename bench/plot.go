package main

import (
	"fmt"
	"html"
	"math"
	"os"
	"strings"
)

// plot is a picture of lines, as SVG. Its colours can be told apart on light and on dark pages.
type plot struct {
	title, x, y string // y is above the axis
	lines       []line
}

// line is drawn through its points. The last may have a dot.
type line struct {
	series string
	points []point
	dot    bool
}

type point struct{ x, y float64 }

// A picture of so many pixels, and what is left around the lines.
const (
	plotWidth, plotHeight = 760, 420
	plotLeft, plotRight   = 64, 24
	plotTop, plotBottom   = 76, 52
)

const plotGrey = "#767676"

var plotColours = map[string]string{
	"curfew": "#2f7de1", "curfew-each": "#18a07a", "lean": plotGrey, "handler": "#b08a2e", "writer-each": "#b08a2e",
	"centrifugo": "#d1495b",
}

var plotNames = map[string]string{
	"curfew": "Curfew", "curfew-each": "Curfew, a session each", "lean": "leanest bare",
	"handler": "bare, in the handler", "writer-each": "bare, a writer each", "centrifugo": "Centrifugo 6",
}

// write writes the picture into a file.
func (p *plot) write(file string) {
	var most point
	for _, l := range p.lines {
		for _, at := range l.points {
			most = point{max(most.x, at.x), max(most.y, at.y)}
		}
	}
	stepX, stepY := niceStep(most.x), niceStep(most.y)
	most = point{math.Ceil(most.x/stepX) * stepX, math.Ceil(most.y/stepY) * stepY}
	place := func(at point) point {
		return point{plotLeft + at.x/most.x*(plotWidth-plotLeft-plotRight),
			plotHeight - plotBottom - at.y/most.y*(plotHeight-plotTop-plotBottom)}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" `+
		`font-family="sans-serif" font-size="13" fill="%s">`+"\n", plotWidth, plotHeight, plotGrey)
	fmt.Fprintf(&b, "<title>%s</title>\n", html.EscapeString(p.title))
	plotText(&b, point{plotLeft, 20}, "start", p.title)
	plotText(&b, point{plotWidth - plotRight, plotHeight - 10}, "end", p.x)
	plotText(&b, point{plotLeft, plotTop - 12}, "end", p.y)
	for n := 0.0; n <= most.x+stepX/2; n += stepX {
		at := place(point{n, 0})
		plotText(&b, point{at.x, at.y + 20}, "middle", fmt.Sprint(n))
	}
	for n := 0.0; n <= most.y+stepY/2; n += stepY {
		from, to := place(point{0, n}), place(point{most.x, n})
		plotText(&b, point{from.x - 8, from.y + 4}, "end", fmt.Sprint(n))
		fmt.Fprintf(&b, `<path d="M%.1f %.1fH%.1f" stroke="%s" stroke-opacity="0.3"/>`+"\n", from.x, from.y, to.x,
			plotGrey)
	}
	left := float64(plotLeft)
	for _, l := range p.lines {
		l.draw(&b, place)
		fmt.Fprintf(&b, `<path d="M%.1f 40h18" stroke="%s" stroke-width="3"/>`+"\n", left, plotColours[l.series])
		plotText(&b, point{left + 24, 44}, "start", plotNames[l.series])
		left += 40 + 7*float64(len(plotNames[l.series])) // a letter has 7 pixels or so
	}
	b.WriteString("</svg>\n")
	check(os.WriteFile(file, []byte(b.String()), 0o644))
}

func (l *line) draw(b *strings.Builder, place func(point) point) {
	path := strings.Builder{}
	var at point
	for i, p := range l.points {
		at = place(p)
		fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], at.x, at.y)
	}
	fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s" stroke-width="2" stroke-linejoin="round"/>`+"\n",
		path.String(), plotColours[l.series])
	if l.dot {
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", at.x, at.y, plotColours[l.series])
	}
}

func plotText(b *strings.Builder, at point, anchor, text string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", at.x, at.y, anchor,
		html.EscapeString(text))
}

// niceStep is a step of 1, 2 or 5 and zeros, of which a length has four to ten.
func niceStep(length float64) float64 {
	size := math.Pow(10, math.Floor(math.Log10(length)))
	for _, part := range []float64{0.1, 0.2, 0.5, 1} {
		if length/(size*part) <= 10 {
			return size * part
		}
	}
	return size
}
