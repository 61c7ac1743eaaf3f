// Package metrics is what a Prometheus server reads of a node of Curfew. A program makes [Metrics]
// first, hands them to the parts that tell them something, and gives them the parts that are asked
// at each reading by [Metrics.Watch]. docs/metrics.md has the list.
//
// No label holds what comes from outside: no user, no address, no path. What has a label has all of
// its values from the start, so that an increase from nothing is seen.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"curfew/front"
	"curfew/hub"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/views"
)

// Metrics are those of one node. [New] makes them. Their methods may be called concurrently.
type Metrics struct {
	registry *prometheus.Registry

	ends          map[session.Reason]prometheus.Counter
	lines         map[session.EventKind]prometheus.Counter
	acks          map[wire.Kind]prometheus.Observer
	late          map[hub.Deadline]prometheus.Observer
	toldTabs      map[hub.Outcome]prometheus.Counter
	turnedAway    prometheus.Counter
	unconfirmed   prometheus.Counter
	refused       map[views.Refusal]prometheus.Counter
	proxied       [6]prometheus.Counter // by the first digit of the status; 0: no answer
	underWay      prometheus.Gauge
	storeSeconds  *prometheus.HistogramVec
	storeFailures *prometheus.CounterVec
}

// The interfaces by which parts tell metrics something.
var (
	_ hub.Meter   = (*Metrics)(nil)
	_ front.Meter = (*Metrics)(nil)
)

// Bounds of histograms, in seconds.
var (
	// ackBounds tell apart what people do not notice (half a second) from what is too late (above a
	// second): see docs/performance.md.
	ackBounds   = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
	lateBounds  = []float64{.001, .01, .05, .1, .25, .5, 1, 2, 5, 15, 60, 300}
	storeBounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)

// New makes the metrics of a node.
func New() *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.makeHubs()
	m.makeRequests()
	m.storeSeconds = m.histograms("curfew_store_operation_duration_seconds",
		"Seconds that the store took for an operation.", storeBounds, "operation")
	m.storeFailures = m.counters("curfew_store_operation_failures_total",
		"Operations that the store has not answered, or has refused for its own reasons.", "operation")
	return m
}

// makeHubs makes what the hub and the audit trail tell.
func (m *Metrics) makeHubs() {
	m.ends = each(m.counters("curfew_session_ends_total",
		"Sessions that have ended. Each is counted on one node, which brings its audit line into the trail.",
		"reason").WithLabelValues, session.Reasons()...)
	m.lines = each(m.counters("curfew_audit_lines_total",
		"Lines of the audit trail. Each is counted on one node, which brings it into the trail.",
		"event").WithLabelValues, session.EventKinds()...)
	m.acks = each(m.histograms("curfew_push_ack_seconds",
		"Seconds from a message to a tab until its page has acknowledged it: a warning, the end (expire), or a tick, "+
			"which asks whether the page is there.",
		ackBounds, "kind").WithLabelValues, wire.KindWarn, wire.KindExpire, wire.KindTick)
	m.late = each(m.histograms("curfew_deadline_lateness_seconds",
		"Seconds after its deadline until a session was woken for a warning, or had ended by time and its tabs were "+
			"told.",
		lateBounds, "deadline").WithLabelValues, hub.DeadlineWarning, hub.DeadlineEnd)
	m.toldTabs = each(m.counters("curfew_ended_tabs_total",
		"Tabs that were told of the end of their session: acked, if the page has said that it is blank; gone, if it "+
			"was closed or left first; else unconfirmed.",
		"outcome").WithLabelValues, hub.OutcomeAcked, hub.OutcomeGone, hub.OutcomeUnconfirmed)
	m.turnedAway = m.counter("curfew_tabs_turned_away_total", "Tabs for which there was no room.")
	m.unconfirmed = m.counter("curfew_revocations_unconfirmed_total",
		"Forced logouts, and cancellations of such, that the store has not confirmed.")
}

// makeRequests makes what requests tell.
func (m *Metrics) makeRequests() {
	m.refused = each(m.counters("curfew_refusals_total", "Requests and sign-ins that were refused.",
		"kind").WithLabelValues, views.Refusals()...)
	proxied := m.counters("curfew_proxied_requests_total",
		"Requests that went on to the application, by the status of its answer; none, if none has begun.", "code")
	for class := range m.proxied {
		label := "none"
		if class > 0 {
			label = strconv.Itoa(class) + "xx"
		}
		m.proxied[class] = proxied.WithLabelValues(label)
	}
	m.underWay = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "curfew_proxied_requests_in_flight",
		Help: "Requests that are with the application now, WebSockets and event streams among them.",
	})
	m.registry.MustRegister(m.underWay)
}

func (m *Metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) counters(name, help, label string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	m.registry.MustRegister(c)
	return c
}

func (m *Metrics) histograms(name, help string, bounds []float64, label string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: bounds}, []string{label})
	m.registry.MustRegister(h)
	return h
}

// each makes what a metric has for each value of its label. Whoever tells something finds it
// without a lock.
func each[Value ~string, Part any](part func(...string) Part, values ...Value) map[Value]Part {
	parts := make(map[Value]Part, len(values))
	for _, v := range values {
		parts[v] = part(string(v))
	}
	return parts
}

// Line counts an audit line that this node has brought into the trail.
func (m *Metrics) Line(e session.Event) {
	if c := m.lines[e.Kind]; c != nil {
		c.Inc()
	}
	if c := m.ends[e.Reason]; c != nil && e.Kind == session.EventSessionEnd {
		c.Inc()
	}
}

// Acknowledged implements [hub.Meter].
func (m *Metrics) Acknowledged(kind wire.Kind, after time.Duration) {
	m.acks[kind].Observe(after.Seconds())
}

// Late implements [hub.Meter].
func (m *Metrics) Late(what hub.Deadline, by time.Duration) { m.late[what].Observe(by.Seconds()) }

// ToldOfEnd implements [hub.Meter].
func (m *Metrics) ToldOfEnd(o hub.Outcome) { m.toldTabs[o].Inc() }

// TurnedAway implements [hub.Meter].
func (m *Metrics) TurnedAway() { m.turnedAway.Inc() }

// Unconfirmed implements [hub.Meter].
func (m *Metrics) Unconfirmed() { m.unconfirmed.Inc() }

// Refused is for [views.Options].
func (m *Metrics) Refused(why views.Refusal) { m.refused[why].Inc() }

// Forwarded implements [front.Meter].
func (m *Metrics) Forwarded() { m.underWay.Inc() }

// Answered implements [front.Meter].
func (m *Metrics) Answered(status int) {
	m.underWay.Dec()
	class := status / 100
	if class >= len(m.proxied) {
		class = 5 // no server should send such a status: RFC 9110 has clients take it for a 5xx
	}
	m.proxied[class].Inc()
}

// Handler answers a Prometheus server.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
