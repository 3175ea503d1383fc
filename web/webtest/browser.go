package webtest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long something may take to show up before a test fails.
const patience = 30 * time.Second

// Browser is a headless browser of its own, with an empty profile.
type Browser struct {
	t   *testing.T
	ctx context.Context
}

// Open starts a browser for the time of the test, or skips the test where there
// is none.
func Open(t *testing.T) *Browser {
	t.Helper()
	path := Need(t)
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("lang", "en-US"),
		// The window's frame is then in the page's process, where one connection sees it.
		chromedp.Flag("disable-site-isolation-trials", true),
		chromedp.Flag("disable-features", "IsolateOrigins,site-per-process,Translate"),
	)
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Logf("closing the browser: %v", err)
		}
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return &Browser{t: t, ctx: ctx}
}

// Need skips the test where there is no browser, and gives the path of the one
// there is.
func Need(t *testing.T) string {
	t.Helper()
	path := find()
	if path == "" {
		t.Skip("no browser: install chromium (or google-chrome) to run this test")
	}
	return path
}

func find() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Tab is one page of the browser, with the frames in it.
type Tab struct {
	t    *testing.T
	name string // who sits there, for messages
	ctx  context.Context

	mu       sync.Mutex
	contexts []string // unique ids of the execution contexts that live, oldest first
	problems []string
	lenient  bool
}

// Tab opens another page. name is who sits there.
func (b *Browser) Tab(name string) *Tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx)
	b.t.Cleanup(cancel)
	tab := &Tab{t: b.t, name: name, ctx: ctx}
	if err := chromedp.Do(ctx); err != nil {
		b.t.Fatalf("opening a tab for %s: %v", name, err)
	}
	if err := chromedp.Listen(ctx, tab.heard); err != nil {
		b.t.Fatalf("listening to the tab of %s: %v", name, err)
	}
	// The contexts that are there already are told again.
	for _, again := range []func() error{
		func() error {
			_, err := chromedp.Call(ctx, runtime.Disable, cdp.Empty{})
			return err
		},
		func() error {
			_, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
			return err
		},
	} {
		if err := again(); err != nil {
			b.t.Fatalf("preparing the tab of %s: %v", name, err)
		}
	}
	return tab
}

// heard keeps the execution contexts and what went wrong in the page.
func (tab *Tab) heard(event any) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExecutionContextCreated:
		tab.contexts = append(tab.contexts, e.Context.UniqueID)
	case *runtime.EventExecutionContextDestroyed:
		kept := tab.contexts[:0]
		for _, id := range tab.contexts {
			if id != e.ExecutionContextUniqueID {
				kept = append(kept, id)
			}
		}
		tab.contexts = kept
	case *runtime.EventExecutionContextsCleared:
		tab.contexts = nil
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if ex := e.ExceptionDetails.Exception; ex != nil {
			text += " " + ex.Description
		}
		tab.problem("exception: " + text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
			var args []string
			for _, a := range e.Args {
				args = append(args, string(a.Value)+a.Description)
			}
			tab.problem(fmt.Sprintf("console.%s: %s", e.Type, strings.Join(args, " ")))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			tab.problem("log: " + e.Entry.Text + " " + e.Entry.URL)
		}
	}
}

func (tab *Tab) problem(text string) {
	// While a node is down, browsers report every connection that fails.
	network := strings.Contains(text, "net::ERR_") || strings.Contains(text, "WebSocket connection") ||
		strings.Contains(text, "status of 503") || strings.Contains(text, "status of 502")
	if tab.lenient && network {
		return
	}
	tab.problems = append(tab.problems, text)
}

// Lenient stops counting failed connections as problems: a node is about to go.
func (tab *Tab) Lenient() {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.lenient = true
}

// Clean fails the test if anything went wrong in the page: exceptions, errors
// and warnings on the console, requests that failed, policies that were broken.
func (tab *Tab) Clean() {
	tab.t.Helper()
	tab.mu.Lock()
	defer tab.mu.Unlock()
	for _, p := range tab.problems {
		tab.t.Errorf("in the browser of %s: %s", tab.name, p)
	}
}

// Go opens a URL.
func (tab *Tab) Go(url string) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, steps(chromedp.Navigate(url))); err != nil {
		tab.t.Fatalf("%s opens %s: %v", tab.name, url, err)
	}
}

// Size gives the page another size, in CSS pixels.
func (tab *Tab) Size(width, height int64) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, chromedp.EmulateViewport(width, height)); err != nil {
		tab.t.Fatalf("sizing the page of %s: %v", tab.name, err)
	}
}

// Picture writes what the tab shows to a file, if folder is not empty.
func (tab *Tab) Picture(folder, name string) {
	tab.t.Helper()
	if folder == "" {
		return
	}
	png, err := chromedp.Run(tab.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatalf("taking a picture of %s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		tab.t.Fatalf("keeping a picture: %v", err)
	}
}

// Page runs an expression in the page and gives its value as JSON.
func (tab *Tab) Page(expression string) (json.RawMessage, error) {
	raw, err := chromedp.Run(tab.ctx, chromedp.Evaluate[[]byte](expression))
	return raw, err
}

// Window runs an expression in the frame of the chat window.
func (tab *Tab) Window(expression string) (json.RawMessage, error) {
	tab.mu.Lock()
	contexts := append([]string(nil), tab.contexts...)
	tab.mu.Unlock()
	for i := len(contexts) - 1; i >= 0; i-- {
		in := func(p *runtime.EvaluateParams) { p.UniqueContextID = contexts[i] }
		is, err := chromedp.Run(tab.ctx, chromedp.Evaluate[bool](`location.pathname.endsWith("/window") && !!document.querySelector(".window")`, in))
		if err != nil || !is {
			continue
		}
		raw, err := chromedp.Run(tab.ctx, chromedp.Evaluate[[]byte](expression, in))
		return raw, err
	}
	return nil, fmt.Errorf("there is no chat window")
}

// Eval runs an expression somewhere in the tab: Page or Window.
type Eval func(expression string) (json.RawMessage, error)

// Until waits until the expression is true there.
func (tab *Tab) Until(what string, in Eval, expression string) {
	tab.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience)
	for {
		raw, err := in(expression)
		if err == nil && string(raw) == "true" {
			return
		}
		if time.Now().After(deadline) {
			text, _ := in(`document.body.innerText.slice(0, 2000)`)
			tab.t.Fatalf("%s waited in vain: %s (%s: %s %v)\nthe page says: %s\nproblems: %q", tab.name, what, expression, raw, err, text, tab.problems)
		}
		<-tick.C
	}
}

// Click presses the first element that the selector and the text in it name.
func (tab *Tab) Click(in Eval, selector, text string) {
	tab.t.Helper()
	find := fmt.Sprintf(`[...document.querySelectorAll(%s)].find((e) => e.textContent.includes(%s) || (e.ariaLabel || "").includes(%s))`, quote(selector), quote(text), quote(text))
	tab.Until(fmt.Sprintf("%q %q to press", selector, text), in, fmt.Sprintf(`(() => { const e = %s; if (!e) return false; e.click(); return true })()`, find))
}

// Type focuses the field that the selector names and writes into it, as a
// keyboard would.
func (tab *Tab) Type(in Eval, selector, text string) {
	tab.t.Helper()
	tab.Until("the field "+selector, in, fmt.Sprintf(`(() => { const e = document.querySelector(%s); if (!e) return false; e.focus(); return document.activeElement === e })()`, quote(selector)))
	if _, err := chromedp.Call(tab.ctx, input.InsertText, input.InsertTextParams{Text: text}); err != nil {
		tab.t.Fatalf("%s writes into %s: %v", tab.name, selector, err)
	}
}

// Enter presses the Enter key where the focus is.
func (tab *Tab) Enter() {
	tab.t.Helper()
	// One event that carries the text, as a keyboard makes it: what is prevented inserts nothing.
	for _, typ := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeKeyDown, input.DispatchKeyEventTypeKeyUp} {
		key := input.DispatchKeyEventParams{Type: typ, Key: "Enter", Code: "Enter", WindowsVirtualKeyCode: 13}
		if typ == input.DispatchKeyEventTypeKeyDown {
			key.Text = "\r"
		}
		if _, err := chromedp.Call(tab.ctx, input.DispatchKeyEvent, key); err != nil {
			tab.t.Fatalf("%s presses Enter: %v", tab.name, err)
		}
	}
}

// Tap clicks with the mouse into the middle of an element of the page.
func (tab *Tab) Tap(selector string) {
	tab.t.Helper()
	var at struct{ X, Y float64 }
	tab.Until("the element "+selector, tab.Page, fmt.Sprintf(`(() => { const r = document.querySelector(%s)?.getBoundingClientRect(); return !!r && r.width > 0 })()`, quote(selector)))
	raw, err := tab.Page(fmt.Sprintf(`(() => { const r = document.querySelector(%s).getBoundingClientRect(); return {X: r.x + r.width / 2, Y: r.y + r.height / 2} })()`, quote(selector)))
	if err == nil {
		err = json.Unmarshal(raw, &at)
	}
	if err == nil {
		err = chromedp.Do(tab.ctx, chromedp.MouseClickXY(at.X, at.Y))
	}
	if err != nil {
		tab.t.Fatalf("%s clicks on %s: %v", tab.name, selector, err)
	}
}

// steps limits how long actions may take.
func steps(actions ...chromedp.Action[chromedp.Void]) chromedp.Action[chromedp.Void] {
	all := chromedp.Steps(actions...)
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		return all(ctx, t)
	}
}

// quote writes a text as JavaScript.
func quote(text string) string {
	raw, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(raw)
}
