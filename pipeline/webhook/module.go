package webhook

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"

	"github.com/VictoriaMetrics/metrics"

	"github.com/parlorchat/parlor/core"
	"github.com/parlorchat/parlor/pipeline"
	"github.com/parlorchat/parlor/rules"
	"github.com/parlorchat/parlor/storage/keyspace"
)

// name is the module's: the consumer of the endpoint "crm" is "webhook.crm".
const name = "webhook"

// concurrency is how many deliveries an endpoint gets at a time.
const concurrency = 8

// Module makes a consumer of every enabled webhook.
type Module struct {
	store   pipeline.Store
	metrics *metrics.Set
	log     *slog.Logger
	public  *http.Client // reaches public addresses only
	private *http.Client // also those of a company's own network
}

var _ pipeline.Module = (*Module)(nil)

// New makes the module. set and log may be nil.
func New(store pipeline.Store, set *metrics.Set, log *slog.Logger) *Module {
	if set == nil {
		set = metrics.NewSet()
	}
	if log == nil {
		log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return &Module{store: store, metrics: set, log: log, public: newClient(false), private: newClient(true)}
}

// Name is "webhook".
func (m *Module) Name() string { return name }

// Close lets go of idle connections. The Runner must have ended.
func (m *Module) Close() {
	m.public.CloseIdleConnections()
	m.private.CloseIdleConnections()
}

// config is a document of the kind "webhooks", as docs/rules.md has it.
type config struct {
	URL            string   `json:"url"`
	Secret         string   `json:"secret"`
	PreviousSecret string   `json:"previous_secret"`
	Events         []string `json:"events"`
	Enabled        *bool    `json:"enabled"` // nil: true
	AllowPrivate   bool     `json:"allow_private"`
}

// Consumers gives a consumer for every enabled webhook. A document that
// cannot be read is left out and does not stop the others; the log says so.
func (m *Module) Consumers(tx *keyspace.Tx, site core.Site) ([]pipeline.Consumer, error) {
	docs, err := core.SiteConfig(tx, site.ID, rules.KindWebhooks)
	if err != nil {
		return nil, fmt.Errorf("reading the webhooks of site %s: %w", site.ID, err)
	}
	epoch, err := core.Epoch(tx)
	if err != nil {
		return nil, fmt.Errorf("reading the epoch: %w", err)
	}
	var out []pipeline.Consumer
	for _, doc := range docs {
		c, enabled, err := m.consumer(site.ID, epoch, doc)
		if err != nil {
			m.log.Error("a webhook that cannot be used", "site", site.ID, "webhook", doc.ID, "error", err)
			continue
		}
		if enabled {
			out = append(out, c)
		}
	}
	return out, nil
}

func (m *Module) consumer(site, epoch string, doc core.ConfigDocument) (c pipeline.Consumer, enabled bool, err error) {
	var conf config
	if err := json.Unmarshal(doc.Document, &conf); err != nil {
		return c, false, fmt.Errorf("decoding the document: %w", err)
	}
	if conf.Enabled != nil && !*conf.Enabled {
		return c, false, nil
	}
	if conf.URL == "" {
		return c, false, errors.New("it has no url")
	}
	end := &endpoint{
		store: m.store, site: site, id: doc.ID, rev: doc.Rev, epoch: epoch,
		url: conf.URL, client: m.public, log: m.log.With("site", site, "webhook", doc.ID), metrics: m.metrics,
	}
	if conf.AllowPrivate {
		end.client = m.private
	}
	for _, secret := range []string{conf.Secret, conf.PreviousSecret} {
		if secret == "" {
			continue
		}
		key, err := parseSecret(secret)
		if err != nil {
			return c, false, err
		}
		end.keys = append(end.keys, key)
	}
	if len(end.keys) == 0 {
		return c, false, errors.New("it has no secret")
	}
	return pipeline.Consumer{
		Name:        name + "." + doc.ID,
		Version:     fmt.Sprintf("%d/%s", doc.Rev, epoch),
		Wants:       wants(conf.Events),
		Begins:      stored(doc),
		Concurrency: concurrency,
		Handler:     end,
	}, true, nil
}

// wants tells the events that an endpoint is to get.
func wants(types []string) func(*core.Event) bool {
	if slices.Contains(types, rules.AllEvents) {
		return func(*core.Event) bool { return true }
	}
	return func(e *core.Event) bool { return slices.Contains(types, e.Type) }
}

// stored recognises the event that says that the document was stored.
func stored(doc core.ConfigDocument) func(*core.Event) bool {
	return func(e *core.Event) bool {
		if e.Type != core.EventConfigChanged {
			return false
		}
		var data core.ConfigData
		err := json.Unmarshal(e.Data, &data)
		return err == nil && data.Kind == rules.KindWebhooks && data.ID == doc.ID && data.Rev == doc.Rev
	}
}
