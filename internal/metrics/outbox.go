package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"curfew/delivery"
)

// outbox is the collector of what waits for receivers.
type outbox []delivery.Sender

var (
	outboxWaiting = describe("curfew_outbox_waiting", "Audit lines that the receiver has not accepted, on all "+
		"nodes: each node knows them all, so take the largest number and not the sum.", "receiver")
	outboxOldest = describe("curfew_outbox_oldest_seconds",
		"Age of the oldest audit line that the receiver has not accepted.", "receiver")
	outboxRefused = describe("curfew_outbox_refused", "Of the audit lines that wait, those that the receiver has "+
		"refused and those of the same sessions behind them. Only the node that sends knows.", "receiver")
	outboxSending = describe("curfew_outbox_sending", "1 on the node that sends to the receiver.", "receiver")
	outboxSent    = describe("curfew_outbox_sent_total",
		"Audit lines that the receiver has accepted from this node.", "receiver")
	outboxFailures = describe("curfew_outbox_failures_total",
		"Attempts of this node that the receiver has not accepted.", "receiver")
	outboxDropped = describe("curfew_outbox_dropped_total",
		"Audit lines that this node has given up sending, because too many waited.", "receiver")
)

// Describe implements [prometheus.Collector].
func (o outbox) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		outboxWaiting, outboxOldest, outboxRefused, outboxSending, outboxSent, outboxFailures, outboxDropped,
	} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (o outbox) Collect(ch chan<- prometheus.Metric) {
	for _, s := range o {
		st := s.Stats()
		tell := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
			ch <- prometheus.MustNewConstMetric(d, kind, value, s.Name())
		}
		isSending := 0.0
		if st.Sending {
			isSending = 1
		}
		tell(outboxWaiting, prometheus.GaugeValue, float64(st.Waiting))
		tell(outboxOldest, prometheus.GaugeValue, st.Oldest.Seconds())
		tell(outboxRefused, prometheus.GaugeValue, float64(st.Refused))
		tell(outboxSending, prometheus.GaugeValue, isSending)
		tell(outboxSent, prometheus.CounterValue, float64(st.Sent))
		tell(outboxFailures, prometheus.CounterValue, float64(st.Failed))
		tell(outboxDropped, prometheus.CounterValue, float64(st.Dropped))
	}
}
