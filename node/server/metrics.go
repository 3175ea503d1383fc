package server

import (
	"io"
	"sync/atomic"

	"github.com/VictoriaMetrics/metrics"
)

// respMetrics adds what the Redis protocol's door has counted.
func (s *server) respMetrics(w io.Writer) {
	st := s.resp.Stats()
	for name, n := range map[string]*atomic.Int64{
		"parlor_resp_connections":         &st.Clients,
		"parlor_resp_blocked_connections": &st.Blocked,
	} {
		metrics.WriteGaugeFloat64(w, name, float64(n.Load()))
	}
	for name, n := range map[string]*atomic.Int64{
		"parlor_resp_connections_accepted_total":  &st.Accepted,
		"parlor_resp_connections_refused_total":   &st.Refused,
		"parlor_resp_connections_timed_out_total": &st.TimedOut,
		"parlor_resp_connections_dropped_total":   &st.Lagged, // they did not read what they were sent, such as published messages
		"parlor_resp_connections_evicted_total":   &st.Evicted,
		"parlor_resp_commands_total":              &st.Commands,
		"parlor_resp_commands_failed_total":       &st.Failed,
		"parlor_resp_writes_in_vain_total":        &st.Vain,
		"parlor_resp_protocol_errors_total":       &st.ProtocolErrors,
		"parlor_resp_auth_failures_total":         &st.AuthFailures,
		"parlor_resp_received_bytes_total":        &st.BytesIn,
		"parlor_resp_sent_bytes_total":            &st.BytesOut,
	} {
		metrics.WriteCounterUint64(w, name, uint64(n.Load()))
	}
}
