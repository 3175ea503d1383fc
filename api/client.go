package api

import (
	"net"
	"net/netip"
	"strings"

	"github.com/mileusna/useragent"
	"github.com/valyala/fasthttp"
	"golang.org/x/text/language"
)

// clientAddr gives the address that a request comes from: the peer's, or, if
// the peer is a trusted proxy, the last address in X-Forwarded-For that is
// none. Anything to the left of that could have been written by anybody.
func clientAddr(ctx *fasthttp.RequestCtx, trusted []netip.Prefix) netip.Addr {
	addr := peerAddr(ctx.RemoteAddr())
	if !contains(trusted, addr) {
		return addr
	}
	var hops []string
	for _, header := range ctx.Request.Header.PeekAll(fasthttp.HeaderXForwardedFor) {
		hops = append(hops, strings.Split(string(header), ",")...)
	}
	for i := len(hops) - 1; i >= 0; i-- {
		hop, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			return addr
		}
		addr = hop.Unmap().WithZone("")
		if !contains(trusted, addr) {
			return addr
		}
	}
	return addr
}

func peerAddr(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	if ap, err := netip.ParseAddrPort(a.String()); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, p := range prefixes {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// device is what a User-Agent header tells.
type device struct{ browser, os, kind string }

// parseDevice reads a User-Agent. kind is desktop, mobile, tablet or bot.
func parseDevice(header string) device {
	ua := useragent.Parse(header)
	d := device{browser: ua.Name, os: ua.OS}
	if ua.Name != "" && ua.Version != "" {
		major, _, _ := strings.Cut(ua.Version, ".")
		d.browser += " " + major
	}
	switch {
	case ua.Bot:
		d.kind = "bot"
	case ua.Tablet:
		d.kind = "tablet"
	case ua.Mobile:
		d.kind = "mobile"
	case ua.Desktop:
		d.kind = "desktop"
	}
	return d
}

// preferredLanguage gives the first language of an Accept-Language header as
// a BCP 47 tag; "" if there is none.
func preferredLanguage(header string) string {
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil || len(tags) == 0 || tags[0] == language.Und {
		return ""
	}
	return tags[0].String()
}
