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
	hub                  *hub.Hub
	sessions, tabs, ends *prometheus.Desc
}

func newMetrics(h *hub.Hub) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), hubCollector{
		hub:      h,
		sessions: prometheus.NewDesc("curfew_sessions", "Live sessions.", nil, nil),
		tabs:     prometheus.NewDesc("curfew_tabs", "Open tabs.", nil, nil),
		ends:     prometheus.NewDesc("curfew_session_ends_total", "Sessions that have ended since the start.", []string{"reason"}, nil),
	})
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}

func (c hubCollector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

func (c hubCollector) Collect(ch chan<- prometheus.Metric) {
	st := c.hub.Stats()
	ch <- prometheus.MustNewConstMetric(c.sessions, prometheus.GaugeValue, float64(st.Sessions))
	ch <- prometheus.MustNewConstMetric(c.tabs, prometheus.GaugeValue, float64(st.Tabs))
	for reason, n := range st.Ends {
		ch <- prometheus.MustNewConstMetric(c.ends, prometheus.CounterValue, float64(n), string(reason))
	}
}
