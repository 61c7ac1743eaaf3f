package views

import (
	"cmp"
	"slices"
	"strings"

	"curfew/session"
)

// Names that nobody has: which one was meant.

// candidate is a name that somebody has. Also is another by which people know them, such as their
// full name.
type candidate struct{ Name, Also string }

// shortestStart is how many letters the start of a name must have to stand for it.
const shortestStart = 3

// closest is the candidate that a mistyped name is most like; ok is false where it is like none.
func closest(name string, known []candidate) (found string, ok bool) {
	name = session.FoldName(name)
	best := mistakesIn(name) + 1
	for _, c := range known {
		for _, spelled := range []string{c.Name, c.Also} {
			spelled = session.FoldName(spelled)
			if spelled == "" {
				continue
			}
			distance := distanceOf(name, spelled)
			if len([]rune(name)) >= shortestStart && strings.HasPrefix(spelled, name) {
				distance = min(distance, mistakesIn(name))
			}
			if distance < best || distance == best && ok && c.Name < found {
				best, found, ok = distance, c.Name, true
			}
		}
	}
	return found, ok
}

// mistakesIn is how many mistakes a name of this length may have.
func mistakesIn(name string) int {
	switch n := len([]rune(name)); {
	case n < 3:
		return 0
	case n < 6:
		return 1
	case n < 12:
		return 2
	}
	return 3
}

// distanceOf is how many letters must be put in, left out, replaced or exchanged with their
// neighbour to make b of a.
func distanceOf(a, b string) int {
	x, y := []rune(a), []rune(b)
	if len(x)-len(y) > 3 || len(y)-len(x) > 3 || len(x) > 100 {
		return max(len(x), len(y)) // too much to be a mistake
	}
	var before []int // the last row but one
	last := make([]int, len(y)+1)
	for j := range last {
		last[j] = j
	}
	for i := range x {
		row := make([]int, len(y)+1)
		row[0] = i + 1
		for j := range y {
			change := 1
			if x[i] == y[j] {
				change = 0
			}
			row[j+1] = min(last[j]+change, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && x[i] == y[j-1] && x[i-1] == y[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(y)]
}

// tidyCandidates puts them in order, each once.
func tidyCandidates(list []candidate) []candidate {
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Also, b.Also))
	})
	return slices.Compact(list)
}
