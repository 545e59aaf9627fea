package transport

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
)

// ErrURL is wrapped by every error about a broker URL.
var ErrURL = errors.New("bad broker URL")

// endpoint is what a broker URL means: where to dial, how to prove who we are, which database.
type endpoint struct {
	network   string   // "tcp", "unix" or "sentinel"
	addresses []string // host:port or socket path; several for Sentinel
	master    string   // Sentinel's name of the primary
	username  string
	password  string
	database  int
	tls       *tls.Config

	sentinelUser, sentinelPassword string
}

// parseURL reads a URL as kombu does: redis://, rediss://, redis+socket:// (also socket:// and unix://) and
// sentinel://a:26379;sentinel://b:26379. The database is the path, or virtual_host in the query for sockets. For rediss:// the query
// may hold ssl_cert_reqs (required, optional, none), ssl_ca_certs, ssl_certfile, ssl_keyfile, ssl_check_hostname. For
// Sentinel it holds master_name, sentinel_username and sentinel_password.
func parseURL(raw string) (endpoint, error) {
	var ep endpoint
	first, others, _ := strings.Cut(raw, ";")
	u, err := url.Parse(first)
	if err != nil {
		// url.Error repeats the whole URL, password and all.
		return ep, fmt.Errorf("%w: it cannot be parsed", ErrURL)
	}
	ep.username = u.User.Username()
	ep.password, _ = u.User.Password()
	query := u.Query()
	database := strings.Trim(u.Path, "/")
	switch u.Scheme {
	case "redis", "rediss", "redis+ssl":
		ep.network = "tcp"
		ep.addresses = []string{hostPort(u, "6379")}
		if u.Scheme != "redis" {
			if ep.tls, err = tlsConfig(query, u.Hostname()); err != nil {
				return ep, err
			}
		}
	case "redis+socket", "socket", "unix", "redis+unix":
		ep.network = "unix"
		ep.addresses = []string{u.Path}
		database = query.Get("virtual_host")
		if database == "" {
			database = query.Get("db")
		}
		database = strings.Trim(database, "/")
		if u.Path == "" {
			return ep, fmt.Errorf("%w: %s needs the path of the socket", ErrURL, u.Scheme)
		}
	case "sentinel":
		ep.network = "sentinel"
		ep.addresses = []string{hostPort(u, "26379")}
		for _, other := range strings.Split(others, ";") {
			if other = strings.TrimSpace(other); other == "" {
				continue
			}
			o, err := url.Parse(other)
			if err != nil || o.Scheme != "sentinel" {
				return ep, fmt.Errorf("%w: every part of a Sentinel URL must begin with sentinel://", ErrURL)
			}
			ep.addresses = append(ep.addresses, hostPort(o, "26379"))
			if d := strings.Trim(o.Path, "/"); d != "" {
				database = d
			}
			for key, values := range o.Query() {
				query[key] = values
			}
		}
		ep.master = query.Get("master_name")
		ep.sentinelUser, ep.sentinelPassword = query.Get("sentinel_username"), query.Get("sentinel_password")
	default:
		return ep, fmt.Errorf("%w: scheme %q is none of redis, rediss, redis+socket, sentinel", ErrURL, u.Scheme)
	}
	if database != "" {
		ep.database, err = strconv.Atoi(database)
		if err != nil || ep.database < 0 {
			return ep, fmt.Errorf("%w: database %q is not a number", ErrURL, database)
		}
	}
	return ep, nil
}

func hostPort(u *url.URL, port string) string {
	host := u.Hostname()
	if host == "" {
		host = "localhost"
	}
	if p := u.Port(); p != "" {
		port = p
	}
	return net.JoinHostPort(host, port)
}

// tlsConfig makes the client side of TLS from kombu's ssl_* query fields. Certificates are checked unless the URL says otherwise.
func tlsConfig(query url.Values, host string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if file := query.Get("ssl_ca_certs"); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("%w: ssl_ca_certs: %w", ErrURL, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: ssl_ca_certs %s holds no certificate", ErrURL, file)
		}
	}
	certificate, key := query.Get("ssl_certfile"), query.Get("ssl_keyfile")
	if certificate != "" {
		if key == "" {
			key = certificate
		}
		pair, err := tls.LoadX509KeyPair(certificate, key)
		if err != nil {
			return nil, fmt.Errorf("%w: ssl_certfile and ssl_keyfile: %w", ErrURL, err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	checkHost := strings.ToLower(query.Get("ssl_check_hostname"))
	switch strings.ToUpper(strings.TrimPrefix(strings.ToLower(query.Get("ssl_cert_reqs")), "cert_")) {
	case "", "REQUIRED", "OPTIONAL":
		if checkHost == "false" || checkHost == "0" || checkHost == "no" {
			verifyChainOnly(config)
		}
	case "NONE":
		config.InsecureSkipVerify = true
	default:
		return nil, fmt.Errorf("%w: ssl_cert_reqs %q is none of required, optional, none", ErrURL, query.Get("ssl_cert_reqs"))
	}
	return config, nil
}

// verifyChainOnly checks the server's certificate against the authorities but not its name (ssl_check_hostname=false).
func verifyChainOnly(config *tls.Config) {
	config.InsecureSkipVerify = true // replaced by the check below
	roots := config.RootCAs
	config.VerifyConnection = func(state tls.ConnectionState) error {
		options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, certificate := range state.PeerCertificates[1:] {
			options.Intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(options)
		return err
	}
}

// RedactURL hides the passwords of a broker URL, for logs and errors.
func RedactURL(raw string) string {
	parts := strings.Split(raw, ";")
	for i, part := range parts {
		u, err := url.Parse(part)
		if err != nil {
			return "(unparsable URL)"
		}
		query := u.Query()
		for key := range query {
			if strings.Contains(key, "password") {
				query.Set(key, "xxxxx")
				u.RawQuery = query.Encode()
			}
		}
		parts[i] = u.Redacted()
	}
	return strings.Join(parts, ";")
}
