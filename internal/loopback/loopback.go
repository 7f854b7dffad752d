// Package loopback tells addresses of this machine from those of others, to
// which nothing secret is sent without TLS.
package loopback

import "net/netip"

// Is reports whether a host is certainly this machine. A name other than
// localhost is not, whatever it leads to now.
func Is(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
