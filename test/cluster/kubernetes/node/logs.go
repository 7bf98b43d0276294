// What containers said, with the time each line came, and the endpoint that the API server asks
// for it: GET /containerLogs/{namespace}/{pod}/{container}.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

const keptLines = 20000

type line struct {
	at   time.Time
	text string
}

type journal struct {
	mu    sync.Mutex
	lines []line
	more  chan struct{} // closed by the next line
	file  *os.File
}

func newJournal(path string) *journal {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		file = nil
	}
	return &journal{more: make(chan struct{}), file: file}
}

func (j *journal) add(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	if len(j.lines) >= keptLines {
		j.lines = append([]line(nil), j.lines[keptLines/2:]...)
	}
	j.lines = append(j.lines, line{now, text})
	if j.file != nil {
		fmt.Fprintf(j.file, "%s %s\n", now.UTC().Format("15:04:05.000"), text)
	}
	close(j.more)
	j.more = make(chan struct{})
}

// read takes lines until the writer's end is closed.
func (j *journal) read(from io.Reader) {
	reader := bufio.NewReaderSize(from, 1<<16)
	for {
		text, err := reader.ReadString('\n')
		if len(text) > 0 {
			if text[len(text)-1] == '\n' {
				text = text[:len(text)-1]
			}
			j.add(text)
		}
		if err != nil {
			return
		}
	}
}

func (j *journal) since(at time.Time) ([]line, chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first := len(j.lines)
	for first > 0 && !j.lines[first-1].at.Before(at) {
		first--
	}
	return append([]line(nil), j.lines[first:]...), j.more
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close()
	}
}

func (n *node) serveLog(w http.ResponseWriter, r *http.Request) {
	p := n.podNamed(r.PathValue("namespace"), r.PathValue("pod"))
	if p == nil {
		http.Error(w, "no such pod here", http.StatusNotFound)
		return
	}
	c := p.container(r.PathValue("container"))
	if c == nil {
		http.Error(w, "no such container", http.StatusNotFound)
		return
	}
	query := r.URL.Query()
	var from time.Time
	if text := query.Get("sinceTime"); text != "" {
		from, _ = time.Parse(time.RFC3339, text)
	}
	if seconds, err := strconv.Atoi(query.Get("sinceSeconds")); err == nil {
		from = time.Now().Add(-time.Duration(seconds) * time.Second)
	}
	lines, more := c.journal.since(from)
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	for {
		for _, each := range lines {
			if query.Get("timestamps") == "true" {
				fmt.Fprint(w, each.at.UTC().Format(time.RFC3339Nano), " ")
			}
			fmt.Fprintln(w, each.text)
			from = each.at.Add(1)
		}
		if query.Get("follow") != "true" {
			return
		}
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
		select {
		case <-r.Context().Done():
			return
		case <-p.gone:
			return
		case <-more:
		}
		lines, more = c.journal.since(from)
	}
}

// serveLogs: the API server does not judge the certificate of a node unless told to.
func (n *node) serveLogs(ctx context.Context) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{n.name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLog)
	listener, err := tls.Listen("tcp", nodeAddress+":10250",
		&tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}
