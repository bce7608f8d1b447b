package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// listenForGh opens the two doors that the GitHub command line knows besides
// github.com itself: a Unix socket (its setting http_unix_socket), and a
// GitHub Enterprise Server, which it visits with TLS only. Both pass bytes on
// unread: what answers is the simulator alone.
func listenForGh(dir string, p *place) error {
	target := strings.TrimPrefix(p.GitHub.URL, "http://")
	p.GitHub.Socket = filepath.Join(dir, "gh.sock")
	l, err := net.Listen("unix", p.GitHub.Socket)
	if err != nil {
		return err
	}
	go forward(l, target)

	cert, raw, err := selfSigned()
	if err != nil {
		return err
	}
	p.GitHub.Cert = filepath.Join(dir, "cert.pem")
	if err := os.WriteFile(p.GitHub.Cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), 0o600); err != nil {
		return err
	}
	l, err = tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		return err
	}
	p.GitHub.TLS = l.Addr().String()
	go forward(l, target)
	return nil
}

// forward passes every connection's bytes to target and back, until the
// process ends.
func forward(l net.Listener, target string) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = in.Close() }()
			out, err := net.DialTimeout("tcp", target, 5*time.Second)
			if err != nil {
				return
			}
			defer func() { _ = out.Close() }()
			go func() {
				_, _ = io.Copy(out, in)
				_ = out.Close()
			}()
			_, _ = io.Copy(in, out)
		}()
	}
}

// selfSigned makes a certificate for 127.0.0.1 that is good for a day.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, raw, err
}
