package webhook

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"time"

	"code.dny.dev/ssrf"
)

// Timeout bounds a delivery, from the connection to the end of the answer.
const Timeout = 15 * time.Second

// privateV4 and privateV6 are the networks that "allow_private" opens: those
// a company uses inside. Link-local addresses, where clouds keep their
// credentials, stay closed.
func privateV4() []netip.Prefix {
	return prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
}

func privateV6() []netip.Prefix { return prefixes("fc00::/7", "::1/128") }

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// newClient makes a client that refuses addresses after they were resolved,
// at the moment of connecting, so that no name can point it inside.
func newClient(allowPrivate bool) *http.Client {
	guard := []ssrf.Option{ssrf.WithAnyPort()}
	if allowPrivate {
		guard = append(guard, ssrf.WithAllowedV4Prefixes(privateV4()...), ssrf.WithAllowedV6Prefixes(privateV6()...))
	}
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: ssrf.New(guard...).Safe}
	return &http.Client{
		Timeout: Timeout,
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would connect where the guard does not look
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			DisableCompression:     true,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxIdleConnsPerHost:    concurrency,
			IdleConnTimeout:        30 * time.Second,
			MaxResponseHeaderBytes: 16 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// refused says whether an address was refused by the guard.
func refused(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) ||
		errors.Is(err, ssrf.ErrProhibitedPort) || errors.Is(err, ssrf.ErrInvalidHostPort)
}
