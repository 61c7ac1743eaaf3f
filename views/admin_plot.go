package views

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
	"curfew/session"
)

// The plot of the console: the last hour.

// plot is the last hour as lines in a box of plotWidth by plotHeight.
type plot struct {
	Sessions string    `json:"sessions"` // points of a line
	Active   string    `json:"active"`
	Scale    int       `json:"scale"` // the box's height, in sessions: even, so that its half has a name
	Ends     []endsOf  `json:"ends"`
	Bars     []plotBar `json:"bars"` // ends, where there were any
	Most     int       `json:"most"` // sessions at once
	Ended    int       `json:"ended"`
	Times    []plotAt  `json:"times"` // for readers
}

// Half is the number at half the height.
func (p plot) Half() int { return p.Scale / 2 }

type endsOf struct {
	Reason session.Reason `json:"reason"`
	Count  int            `json:"count"`
}

type plotBar struct {
	X      int `json:"x"`
	Height int `json:"height"`
}

// plotAt are the numbers at an instant.
type plotAt struct {
	Minutes  int `json:"minutes"` // ago
	Sessions int `json:"sessions"`
	Active   int `json:"active"`
	Ended    int `json:"ended"` // since the instant before
}

const (
	plotWidth  = 600
	plotHeight = 100
	plotStep   = 15 // minutes between two instants for readers
)

// scaleFor is the least round number that is even and not below n.
func scaleFor(n int) int {
	for power := 1; ; power *= 10 {
		for _, digit := range []int{2, 4, 6, 8, 10} {
			if digit*power >= n {
				return digit * power
			}
		}
	}
}

func plotOf(samples []hub.Sample) plot {
	p := plot{Ends: []endsOf{}, Bars: []plotBar{}}
	mostEnds := 1
	counts := make(map[session.Reason]int)
	sums := make([]int, len(samples))
	for i, s := range samples {
		p.Most = max(p.Most, s.Sessions)
		for reason, n := range s.Ends {
			counts[reason] += n
			sums[i] += n
		}
		p.Ended += sums[i]
		mostEnds = max(mostEnds, sums[i])
	}
	p.Scale = scaleFor(p.Most)
	end := samples[len(samples)-1].At
	var sessions, active strings.Builder
	for i, s := range samples {
		x := plotWidth - int(end.Sub(s.At)*plotWidth/time.Hour)
		if x < 0 {
			continue
		}
		y := func(n int) string { return strconv.Itoa(plotHeight - n*plotHeight/p.Scale) }
		sessions.WriteString(strconv.Itoa(x) + "," + y(s.Sessions) + " ")
		active.WriteString(strconv.Itoa(x) + "," + y(s.Active) + " ")
		if sums[i] > 0 {
			p.Bars = append(p.Bars, plotBar{x, max(2, sums[i]*plotHeight/2/mostEnds)})
		}
	}
	p.Sessions, p.Active = strings.TrimSpace(sessions.String()), strings.TrimSpace(active.String())
	for reason, n := range counts {
		p.Ends = append(p.Ends, endsOf{reason, n})
	}
	slices.SortFunc(p.Ends, func(a, b endsOf) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	p.Times = timesOf(samples, sums)
	return p
}

// timesOf are the numbers at every plotStep minutes, the newest first, as far as there are samples.
// ends are how many sessions ended before each sample.
func timesOf(samples []hub.Sample, ends []int) (list []plotAt) {
	end := samples[len(samples)-1].At
	last := len(samples) - 1
	for minutes := 0; minutes <= 60; minutes += plotStep {
		at := end.Add(-time.Duration(minutes) * time.Minute)
		i := last
		for i >= 0 && samples[i].At.After(at) {
			i--
		}
		if len(list) > 0 {
			for j := i + 1; j <= last; j++ {
				list[len(list)-1].Ended += ends[j]
			}
		}
		if i < 0 {
			break
		}
		list = append(list, plotAt{Minutes: minutes, Sessions: samples[i].Sessions, Active: samples[i].Active})
		last = i
	}
	return list
}
