package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"curfew/hub"
)

// hubCollector shows the hub's figures to Prometheus.
type hubCollector struct {
	hub                               *hub.Hub
	sessions, tabs, ends, nodes, away *prometheus.Desc
}

func newMetrics(h *hub.Hub) http.Handler {
	registry := prometheus.NewRegistry()
	describe := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("curfew_"+name, help, labels, nil)
	}
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		hubCollector{
			hub:      h,
			sessions: describe("sessions", "Live sessions."),
			tabs:     describe("tabs", "Open tabs."),
			nodes:    describe("nodes", "Nodes that share the store, this one included."),
			away:     describe("store_away", "1 while the store that nodes share does not answer."),
			ends:     describe("session_ends_total", "Sessions that have ended since the start.", "reason"),
		},
	)
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

// metricsRoutes are those of the metrics' own address. Every answer carries what all of Curfew's
// carry.
func metricsRoutes(metrics http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func (c hubCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c hubCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.hub.Stats()
	ch <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(st.Sessions))
	ch <- prometheus.MustNewConstMetric(c.tabs, prometheus.GaugeValue, float64(st.Tabs))
	ch <- prometheus.MustNewConstMetric(c.nodes, prometheus.GaugeValue, float64(st.Nodes))
	away := 0.0
	if st.Away {
		away = 1
	}
	ch <- prometheus.MustNewConstMetric(c.away, prometheus.GaugeValue, away)
	for reason, n := range st.Ends {
		ch <- prometheus.MustNewConstMetric(c.ends, prometheus.CounterValue, float64(n), string(reason))
	}
}
