package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"time"

	"curfew/session"
)

// say sends events of a node to the real one.
func (w *world) say(node int, events []byte) {
	w.mu.Lock()
	w.numbers[node]++
	message := fmt.Appendf(nil, `{"v":1,"node":%q,"name":"node-%d","n":%d,"events":[`, w.instance(node), node,
		w.numbers[node])
	heard := w.heard
	w.fed.messages++
	message = append(append(message, events...), `]}`...)
	w.fed.bytes += len(message)
	w.mu.Unlock()
	heard(message)
}

// live goes on with what the other nodes do, a tenth of a second at a time, until it is stopped.
func (w *world) live() {
	runtime.LockOSThread() // so that its own CPU time can be told from the node's
	defer runtime.UnlockOSThread()
	const step = 100 * time.Millisecond
	steps := int(actsEvery / step)
	before := threadCPU()
	perStep := float64(w.initial) * step.Seconds() / signedInFor.Seconds()
	navigate := float64(w.initial) / 2 * step.Seconds() / navigatesEvery.Seconds()
	var owedSignIns, owedNavigations float64
	dues := w.dues()
	ended := 0
	for n := 0; ; n++ {
		begin := time.Now()
		w.mu.Lock()
		w.fed.cpu = threadCPU() - before
		mass, stopped := w.mass, w.stopped
		w.mu.Unlock()
		switch {
		case stopped:
			return
		case mass:
			ended = w.tellEnds(ended, int(float64(w.initial)*step.Seconds()/writtenWithin.Seconds()))
			pause(step - time.Since(begin))
			continue
		}
		for node := 1 + n%steps; node < w.nodes; node += steps { // each node once in actsEvery
			w.tellActs(node, begin)
		}
		for owedSignIns += perStep; owedSignIns >= 1; owedSignIns-- {
			w.signIn(begin)
		}
		for owedNavigations += navigate; owedNavigations >= 1; {
			owedNavigations -= float64(w.tellTabs(int(min(owedNavigations, 200)), begin))
		}
		for len(dues) > 0 && dues[0].at <= begin.UnixMilli() {
			w.tellEnd(dues[0].i)
			dues = dues[1:]
		}
		pause(step - time.Since(begin))
	}
}

func threadCPU() time.Duration {
	const thread = 1 // RUSAGE_THREAD, getrusage(2)
	var used syscall.Rusage
	check(syscall.Getrusage(thread, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

type due struct {
	at int64 // Unix ms
	i  int
}

// dues lists the ends that other nodes will tell of, in their order.
func (w *world) dues() (list []due) {
	until := w.began.Add(10 * time.Minute).UnixMilli()
	for i := simulatedTabs; i < w.initial; i++ {
		if at := w.active[i] + policy.ExpireAfter.Milliseconds(); !w.acts(i) && !w.orphaned(i) && at < until {
			list = append(list, due{at, i})
		}
	}
	slices.SortFunc(list, func(a, b due) int { return int(a.at - b.at) })
	return list
}

// tellActs tells of the people of a node who act.
func (w *world) tellActs(node int, now time.Time) {
	events := []byte{}
	n := 0
	for i := node - 1; i < w.initial; i += w.others() {
		if !w.acts(i) {
			continue
		}
		if n%1000 == 0 {
			if n > 0 {
				events = append(events, `}},`...)
			}
			events = append(events, `{"kind":"acted","acts":{`...)
		} else {
			events = append(events, ',')
		}
		n++
		at := now.UnixMilli() - int64(i%1000)
		w.mu.Lock()
		w.active[i] = at
		w.mu.Unlock()
		id := w.idOf(i)
		events = fmt.Appendf(events, `"%x":%d`, id[:], at)
	}
	if n > 0 {
		w.say(node, append(events, `}}`...))
	}
}

// signIn tells of a new session.
func (w *world) signIn(now time.Time) {
	w.mu.Lock()
	i := len(w.active)
	w.active, w.ended = append(w.active, now.UnixMilli()), append(w.ended, false)
	id := w.idOf(i)
	w.begun = append(w.begun, id)
	r := w.record(i)
	w.mu.Unlock()
	data, err := r.Encode()
	check(err)
	w.say(w.nodeOf(i), fmt.Appendf(nil, `{"kind":"begun","id":"%x","record":%s}`, id[:], data))
}

// tellTabs tells of pages that people of one node have opened in place of others.
func (w *world) tellTabs(n int, now time.Time) int {
	node := 1 + rand.N(w.others())
	words := make(map[session.ID]string, n)
	for range n {
		if i := rand.N(w.initial/w.others())*w.others() + node - 1; w.acts(i) {
			words[w.idOf(i)] = w.word(i, now)
		}
	}
	data, err := json.Marshal(words)
	check(err)
	w.say(node, fmt.Appendf(nil, `{"kind":"tabs","tabs":%s}`, data))
	return n
}

// tellEnds tells of the next n ends that other nodes have written after a logout of everyone.
func (w *world) tellEnds(from, n int) int {
	end, err := json.Marshal(w.revocations[0].End())
	check(err)
	for n > 0 && from < len(w.active) {
		var events []byte
		for k := 0; k < 200 && from < len(w.active); from++ {
			id := w.idOf(from)
			w.mu.Lock()
			skip := w.ended[from] || int(id[1])%w.nodes == 0 // the real node's share: its name comes first
			if !skip {
				w.ended[from] = true
				w.over = append(w.over, id)
			}
			w.mu.Unlock()
			if skip {
				continue
			}
			if k > 0 {
				events = append(events, ',')
			}
			events = fmt.Appendf(events, `{"kind":"ended","id":"%x","end":%s}`, id[:], end)
			k++
			n--
		}
		if len(events) > 0 {
			w.say(1, events)
		}
	}
	return from
}

// tellEnd tells of an end.
func (w *world) tellEnd(i int) {
	w.mu.Lock()
	if w.ended[i] {
		w.mu.Unlock()
		return
	}
	w.ended[i] = true
	id := w.idOf(i)
	w.over = append(w.over, id)
	w.mu.Unlock()
	end, err := json.Marshal(session.End{Reason: session.ReasonIdle, At: session.Millis(time.Now())})
	check(err)
	w.say(w.nodeOf(i), fmt.Appendf(nil, `{"kind":"ended","id":"%x","end":%s}`, id[:], end))
}

// everyone has another node end all sessions.
func (w *world) everyone() {
	now := session.Millis(time.Now())
	w.mu.Lock()
	f := session.Revocation{
		ID:          "k3vq5ybz2mk3vq5ybz2m",
		Number:      int64(len(w.revocations)) + 1,
		Scope:       session.Scope{Everyone: true},
		Actor:       "root",
		Message:     endedMessage,
		At:          now,
		EffectiveAt: now,
	}
	w.revocations, w.mass = append(w.revocations, f), true
	w.mu.Unlock()
	data, err := json.Marshal(f)
	check(err)
	w.say(1, fmt.Appendf(nil, `{"kind":"fact","fact":%s}`, data))
}
