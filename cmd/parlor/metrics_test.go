package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"

	"github.com/parlorchat/parlor/node"
)

// documented is a metric of docs/metrics.md.
type documented struct {
	kind      string
	sometimes bool // there is none before something is used
}

var metricRow = regexp.MustCompile("(?m)^\\| `(parlor_[a-z_]+)` \\| (\\w+) \\| (.*) \\|$")

func documentedMetrics(t *testing.T) map[string]documented {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "metrics.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]documented{}
	for _, m := range metricRow.FindAllStringSubmatch(string(text), -1) {
		all[m[1]] = documented{kind: m[2], sometimes: strings.HasPrefix(m[3], "with ")}
	}
	if len(all) < 60 {
		t.Fatalf("docs/metrics.md has %d metrics", len(all))
	}
	return all
}

// metricsAreDocumented reads what the nodes of a group expose as Prometheus
// does, and compares it with docs/metrics.md.
func (g *localGroup) metricsAreDocumented(t *testing.T) {
	t.Helper()
	docs := documentedMetrics(t)
	exposed := map[string]*dto.MetricFamily{}
	for _, m := range g.members {
		var own bytes.Buffer
		if err := node.NewAdmin(m.dataDir).Metrics(t.Context(), &own); err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{fetch(t, "http://"+m.http+"/metrics"), own.String()} {
			var parser expfmt.TextParser
			families, err := parser.TextToMetricFamilies(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%s: %v", m.name, err)
			}
			for name, f := range families {
				exposed[name] = f
			}
		}
	}
	for name, f := range exposed {
		if !strings.HasPrefix(name, "parlor_") {
			continue
		}
		kind := strings.ToLower(f.GetType().String())
		if d, ok := docs[name]; !ok || d.kind != kind {
			t.Errorf("%s is a %s; docs/metrics.md calls it %q", name, kind, d.kind)
		}
		if counter := strings.HasSuffix(name, "_total"); counter != (kind == "counter") {
			t.Errorf("%s is a %s", name, kind)
		}
		if strings.Contains(name, "milli") || strings.HasSuffix(name, "_ms") {
			t.Errorf("%s is not in a base unit", name)
		}
		if kind == "histogram" {
			checkHistogram(t, name, f)
		}
	}
	for name, d := range docs {
		if exposed[name] == nil && !d.sometimes {
			t.Errorf("%s is in docs/metrics.md, and no node exposes it", name)
		}
	}
}

// checkHistogram wants buckets up to infinity that only grow.
func checkHistogram(t *testing.T, name string, f *dto.MetricFamily) {
	t.Helper()
	for _, m := range f.GetMetric() {
		h := m.GetHistogram()
		last := uint64(0)
		for _, b := range h.GetBucket() {
			if b.GetCumulativeCount() < last {
				t.Errorf("%s: its buckets do not grow", name)
			}
			last = b.GetCumulativeCount()
		}
		if len(h.GetBucket()) < 8 || last != h.GetSampleCount() {
			t.Errorf("%s has %d buckets with %d of %d values", name, len(h.GetBucket()), last, h.GetSampleCount())
		}
	}
}

var usedMetric = regexp.MustCompile(`\bparlor_[a-z_]+`)

// TestDashboardAndAlertsUseMetricsThatExist: a renamed metric must not leave a
// rule behind that never fires.
func TestDashboardAndAlertsUseMetricsThatExist(t *testing.T) {
	docs := documentedMetrics(t)
	folder := filepath.Join("..", "..", "docs", "monitoring")
	for _, name := range []string{"dashboard.json", "alerts.yml", "alerts_test.yml"} {
		text, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".json") && !json.Valid(text) {
			t.Errorf("%s is not JSON", name)
		}
		used := usedMetric.FindAllString(string(text), -1)
		if len(used) < 5 {
			t.Errorf("%s uses %d metrics", name, len(used))
		}
		slices.Sort(used)
		for _, m := range slices.Compact(used) {
			base := m
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				if cut, ok := strings.CutSuffix(m, suffix); ok && docs[cut].kind == "histogram" {
					base = cut
				}
			}
			if docs[base].kind == "" {
				t.Errorf("%s uses %s, which is not in docs/metrics.md", name, m)
			} else if docs[base].kind == "histogram" && base == m {
				t.Errorf("%s uses %s as if it were no histogram", name, m)
			}
		}
	}
}

// TestAlertsFire has Prometheus' own tool judge the rules, where it is
// installed: their form, and that they fire when they should.
func TestAlertsFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool (of the package prometheus) is not installed")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.Command(promtool, args...)
		cmd.Dir = filepath.Join("..", "..", "docs", "monitoring")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %v: %v\n%s", args, err, out)
		}
	}
}

// TestDashboardQueriesAreUnderstood has the same tool read what the dashboard
// asks Prometheus for, with values in the place of Grafana's variables.
func TestDashboardQueriesAreUnderstood(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool (of the package prometheus) is not installed")
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "monitoring", "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard any
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	type rule struct {
		Record string `json:"record"`
		Expr   string `json:"expr"`
	}
	var rules []rule
	values := strings.NewReplacer("$__rate_interval", "5m", "$__interval", "1m", "$__range", "1h", "$job", ".+")
	var visit func(part any)
	visit = func(part any) {
		switch part := part.(type) {
		case []any:
			for _, p := range part {
				visit(p)
			}
		case map[string]any:
			if expr, ok := part["expr"].(string); ok {
				rules = append(rules, rule{fmt.Sprintf("query:%d", len(rules)), values.Replace(expr)})
			}
			for _, p := range part {
				visit(p)
			}
		}
	}
	visit(dashboard)
	if len(rules) < 20 {
		t.Fatalf("the dashboard has %d queries", len(rules))
	}
	file := filepath.Join(t.TempDir(), "rules.yml") // JSON is YAML
	content, err := json.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s\n%s", err, out, content)
	}
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
