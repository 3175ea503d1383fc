package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/metric"
	"github.com/parlorchat/parlor/pipeline"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/command"
	"github.com/parlorchat/parlor/storage/keyspace"
)

const (
	userAgent = "Parlor-Webhook/1"
	// maxAnswer is how much of an answer is read, so that its connection can
	// be used again. What it says does not matter.
	maxAnswer = 64 << 10
)

// errGone is the answer of an endpoint that wants no more events.
var errGone = errors.New("the endpoint answered 410 Gone and is disabled")

// endpoint is one webhook: it delivers events to a URL.
type endpoint struct {
	store   pipeline.Store
	site    string
	id      string
	rev     int64 // of the document that says all this
	epoch   string
	url     string
	keys    [][]byte // the secret, and during a rotation the one before
	client  *http.Client
	log     *slog.Logger
	metrics *metrics.Set
	gone    atomic.Bool // it answered 410
}

var _ pipeline.Handler = (*endpoint)(nil)

// Handle delivers an event. It returns nil if the endpoint answered 2xx.
func (p *endpoint) Handle(ctx context.Context, e *core.Event) error {
	if p.gone.Load() {
		return errGone
	}
	req, err := p.request(ctx, e, time.Now())
	if err != nil {
		return pipeline.Permanent(err)
	}
	began := time.Now()
	res, err := p.client.Do(req)
	if err != nil {
		p.count(ctx, failure(err))
		return explain(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, maxAnswer))
	p.count(ctx, strconv.Itoa(res.StatusCode/100)+"xx")
	p.metrics.GetOrCreatePrometheusHistogramExt(fmt.Sprintf(`parlor_webhook_duration_seconds{site=%q,webhook=%q}`, p.site, p.id), metric.Latency).UpdateDuration(began)
	return p.judge(ctx, res)
}

// request makes the delivery. Its timestamp is that of the attempt, as the
// receiver refuses old ones.
func (p *endpoint) request(ctx context.Context, e *core.Event, now time.Time) (*http.Request, error) {
	b, err := body(e)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	id := messageID(p.epoch, e)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	req.Header.Set(HeaderID, id)
	req.Header.Set(HeaderTimestamp, strconv.FormatInt(now.Unix(), 10))
	req.Header.Set(HeaderSignature, sign(p.keys, id, now, b))
	return req, nil
}

// judge says what an answer means. A redirect is a failure: following it
// would send the event somewhere that nobody configured.
func (p *endpoint) judge(ctx context.Context, res *http.Response) error {
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		return nil
	case res.StatusCode == http.StatusGone:
		p.disable(ctx)
		return errGone
	}
	err := fmt.Errorf("the endpoint answered %d", res.StatusCode)
	if pause := retryAfter(res.Header.Get("Retry-After"), time.Now()); pause > 0 {
		return pipeline.RetryAfter(err, pause)
	}
	return err
}

// retryAfter reads the header: seconds or a date. 0: there is none, or it is
// past.
func retryAfter(header string, now time.Time) time.Duration {
	const most = 24 * 60 * 60
	if seconds, err := strconv.Atoi(header); err == nil {
		return time.Duration(min(max(seconds, 0), most)) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// disable stores the document with "enabled": false, unless somebody changed
// it meanwhile. That also ends the consumer, and drops its cursor.
func (p *endpoint) disable(ctx context.Context) {
	if !p.gone.CompareAndSwap(false, true) {
		return
	}
	if err := p.storeDisabled(ctx); err != nil {
		p.gone.Store(false) // the next 410 tries again
		if ctx.Err() == nil {
			p.log.Error("disabling a webhook that answered 410 Gone", "error", err)
		}
		return
	}
	p.log.Warn("the endpoint answered 410 Gone and was disabled")
}

func (p *endpoint) storeDisabled(ctx context.Context) error {
	var doc core.ConfigDocument
	var ok bool
	err := p.store.View(func(tx *keyspace.Tx) (err error) {
		doc, ok, err = core.GetConfig(tx, p.site, rules.KindWebhooks, p.id)
		return err
	})
	if err != nil || !ok || doc.Rev != p.rev {
		return err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(doc.Document, &fields); err != nil {
		return fmt.Errorf("decoding the document: %w", err)
	}
	fields["enabled"] = json.RawMessage("false")
	changed, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("encoding the document: %w", err)
	}
	set := core.SiteSet{Site: p.site, Kind: rules.KindWebhooks, ID: p.id, Document: changed, Rev: &p.rev}
	results := p.store.Propose(ctx, []command.Request{{Commands: []command.Args{set.Args()}}})
	switch {
	case len(results) != 1 || results[0].Err == nil && len(results[0].Replies) != 1:
		return errors.New("storing the document: no result")
	case results[0].Err != nil:
		return fmt.Errorf("storing the document: %w", results[0].Err)
	}
	_, err = set.Result(results[0].Replies[0])
	if core.CodeOf(err) == core.CodeConflict {
		return nil
	}
	return err
}

// explain says in an operator's words why nothing was delivered.
func explain(err error) error {
	var timeout net.Error
	switch {
	case refused(err):
		return fmt.Errorf(`the address is private or reserved and "allow_private" is not set: %w`, err)
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no answer in %s: %w", Timeout, err)
	}
	return fmt.Errorf("delivering: %w", err)
}

// failure is the label of an attempt without an answer.
func failure(err error) string {
	var timeout net.Error
	switch {
	case refused(err):
		return "refused"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "error"
}

// count counts an attempt, unless it was broken off because this node stops
// delivering.
func (p *endpoint) count(ctx context.Context, outcome string) {
	if ctx.Err() != nil {
		return
	}
	p.metrics.GetOrCreateCounter(fmt.Sprintf(`parlor_webhook_attempts_total{site=%q,webhook=%q,outcome=%q}`, p.site, p.id, outcome)).Inc()
}
