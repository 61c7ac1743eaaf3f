package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"curfew/delivery"
	"curfew/hub"
)

// Watched are the parts of a node that are asked at each reading.
type Watched struct {
	Hub       *hub.Hub
	Directory interface{ LastWord() time.Time }
	Watcher   interface{ Inconclusive() int }
	StoreAway func() bool // beside what the hub knows
	Senders   []delivery.Sender
}

// Watch adds what is asked of the parts at each reading. It is called once.
func (m *Metrics) Watch(w Watched) {
	m.registry.MustRegister(watch{w, time.Now()}, outbox(w.Senders))
}

// watch is the collector of what is asked.
type watch struct {
	Watched
	began time.Time
}

func describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	sessions = describe("curfew_sessions",
		"Live sessions, on all nodes: each node knows them all, so take the largest number and not the sum.")
	tabs = describe("curfew_tabs", "Open tabs of this node: shown, hidden, or unconfirmed if the page has not "+
		"answered whether it is there for five seconds.", "state")
	logouts = describe("curfew_forced_logouts", "Forced logouts that this node keeps, for a day at least; from 50,000 "+
		"on only one of everyone is accepted.")
	nodes     = describe("curfew_nodes", "Nodes that share the store, this one included.")
	away      = describe("curfew_store_away", "1 while the store does not answer, or takes no writes.")
	directory = describe("curfew_directory_age_seconds",
		"Seconds since the directory last answered, whatever it was asked; it is asked every few seconds.")
	inconclusive = describe("curfew_directory_inconclusive_accounts",
		"Accounts that are signed in and of whom the directory says nothing that can be believed.")
)

// Describe implements [prometheus.Collector].
func (w watch) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sessions, tabs, logouts, nodes, away, directory, inconclusive} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (w watch) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	st, states := w.Hub.Stats(), w.Hub.TabStates()
	gauge(sessions, float64(st.Sessions))
	gauge(tabs, float64(states.Shown), "shown")
	gauge(tabs, float64(states.Hidden), "hidden")
	gauge(tabs, float64(states.Unconfirmed), "unconfirmed")
	gauge(logouts, float64(st.Logouts))
	gauge(nodes, float64(st.Nodes))
	isAway := 0.0
	if st.Away || w.StoreAway() {
		isAway = 1
	}
	gauge(away, isAway)
	word := w.Directory.LastWord()
	if word.IsZero() {
		word = w.began // it has been silent for as long as anybody has listened
	}
	gauge(directory, time.Since(word).Seconds())
	gauge(inconclusive, float64(w.Watcher.Inconclusive()))
}
