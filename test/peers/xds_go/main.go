// Command xds_go serves nantian's resource types with go-control-plane's delta server: one linear
// cache a type, behind a mux. Commands come as JSON lines on standard input, events go out likewise.
//
//	{"op":"put","type":"Route","name":"n","json":{...}}
//	{"op":"remove","type":"Route","name":"n"}
//	{"op":"commit","epoch":1,"revision":5,"lie":"digest"|"count"|""}
//
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"sort"
	"sync"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"github.com/zeebo/xxh3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

const (
	pkg      = "nantian.config.v1."
	urlFront = "type.googleapis.com/" + pkg
)

var contents = []string{"Secret", "Endpoints", "Backend", "Policy", "Listener", "Route"}

type event map[string]any

var out sync.Mutex

func emit(e event) {
	out.Lock()
	defer out.Unlock()
	line, err := json.Marshal(e)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

// schema makes messages of our types from descriptors, without generated code.
type schema struct{ files *protoregistry.Files }

func load(path string) *schema {
	bytes, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(bytes, set); err != nil {
		log.Fatal(err)
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		log.Fatal(err)
	}
	return &schema{files}
}

func (s *schema) message(kind string) (*dynamicpb.Message, error) {
	found, err := s.files.FindDescriptorByName(protoreflect.FullName(pkg + kind))
	if err != nil {
		return nil, err
	}
	return dynamicpb.NewMessage(found.(protoreflect.MessageDescriptor)), nil
}

func (s *schema) fromJSON(kind string, text []byte) (proto.Message, error) {
	message, err := s.message(kind)
	if err != nil {
		return nil, err
	}
	return message, protojson.Unmarshal(text, message)
}

func hash(bytes []byte) (uint64, uint64) {
	sum := xxh3.Hash128(bytes)
	return sum.Hi, sum.Lo
}

type digest struct {
	High string `json:"high"`
	Low  string `json:"low"`
}

func spell(high, low uint64) digest {
	return digest{fmt.Sprint(high), fmt.Sprint(low)}
}

type typeDigest struct {
	Type   string `json:"type"`
	Count  string `json:"count"`
	Digest digest `json:"digest"`
}

// record computes the commit record as snapshot.proto defines it, with somebody else's XXH3.
func record(caches map[string]*cache.LinearCache, c command) []byte {
	var entries []typeDigest
	var all []byte
	sorted := append([]string(nil), contents...)
	sort.Strings(sorted)
	for _, kind := range sorted {
		var high, low, count uint64
		for name, resource := range caches[urlFront+kind].GetResources() {
			bytes, err := cache.MarshalResource(resource)
			if err != nil {
				log.Fatal(err)
			}
			h, l := hash(append(append([]byte(name), 0), bytes...))
			high, low, count = high+h, low+l, count+1
		}
		if c.Lie == "count" && kind == "Route" {
			count++
		}
		if c.Lie == "digest" && kind == "Route" {
			low++
		}
		entries = append(entries, typeDigest{pkg + kind, fmt.Sprint(count), spell(high, low)})
		if count > 0 {
			all = append(append(all, pkg+kind...), 0)
			all = binary.LittleEndian.AppendUint64(all, count)
			all = binary.LittleEndian.AppendUint64(all, high)
			all = binary.LittleEndian.AppendUint64(all, low)
		}
	}
	high, low := hash(all)
	vector := []event{{"kind": "directory", "revision": fmt.Sprint(c.Revision)}}
	text, err := json.Marshal(event{
		"version": event{"epoch": fmt.Sprint(c.Epoch), "vector": vector},
		"types":   entries,
		"digest":  spell(high, low),
	})
	if err != nil {
		log.Fatal(err)
	}
	return text
}

type command struct {
	Op       string          `json:"op"`
	Type     string          `json:"type"`
	Name     string          `json:"name"`
	JSON     json.RawMessage `json:"json"`
	Epoch    uint64          `json:"epoch"`
	Revision uint64          `json:"revision"`
	Lie      string          `json:"lie"`
}

func obey(s *schema, caches map[string]*cache.LinearCache, c command) error {
	switch c.Op {
	case "put":
		message, err := s.fromJSON(c.Type, c.JSON)
		if err != nil {
			return err
		}
		return caches[urlFront+c.Type].UpdateResource(c.Name, message)
	case "remove":
		return caches[urlFront+c.Type].DeleteResource(c.Name)
	case "commit":
		message, err := s.fromJSON("Snapshot", record(caches, c))
		if err != nil {
			return err
		}
		return caches[urlFront+"Snapshot"].UpdateResource("snapshot", message)
	}
	return fmt.Errorf("what is %q?", c.Op)
}

func refusal(s *schema, req *discovery.DeltaDiscoveryRequest) any {
	for _, detail := range req.GetErrorDetail().GetDetails() {
		message, err := s.message("Refusal")
		if err == nil && detail.GetTypeUrl() == urlFront+"Refusal" &&
			proto.Unmarshal(detail.GetValue(), message) == nil {
			text, err := protojson.Marshal(message)
			if err == nil {
				return json.RawMessage(text)
			}
		}
	}
	return nil
}

func callbacks(s *schema) server.CallbackFuncs {
	return server.CallbackFuncs{
		DeltaStreamOpenFunc: func(_ context.Context, id int64, _ string) error {
			emit(event{"event": "open", "stream": id})
			return nil
		},
		DeltaStreamClosedFunc: func(id int64, node *core.Node) {
			emit(event{"event": "closed", "stream": id, "node": node.GetId()})
		},
		StreamDeltaRequestFunc: func(id int64, req *discovery.DeltaDiscoveryRequest) error {
			emit(event{"event": "request", "stream": id, "type": req.GetTypeUrl(),
				"nonce": req.GetResponseNonce(), "stated": len(req.GetInitialResourceVersions()),
				"error": req.GetErrorDetail().GetMessage(), "refusal": refusal(s, req),
				"node": req.GetNode().GetId()})
			return nil
		},
		StreamDeltaResponseFunc: func(id int64, _ *discovery.DeltaDiscoveryRequest,
			resp *discovery.DeltaDiscoveryResponse) {
			emit(event{"event": "response", "stream": id, "type": resp.GetTypeUrl(),
				"nonce": resp.GetNonce(), "resources": len(resp.GetResources()),
				"removed": len(resp.GetRemovedResources()), "bytes": proto.Size(resp)})
		},
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "where to serve")
	descriptors := flag.String("descriptors", "", "a FileDescriptorSet of api/proto")
	flag.Parse()
	s := load(*descriptors)
	caches := map[string]*cache.LinearCache{}
	mux := &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches:        map[string]cache.Cache{},
	}
	for _, kind := range append(append([]string(nil), contents...), "Snapshot") {
		caches[urlFront+kind] = cache.NewLinearCache(urlFront+kind,
			cache.WithInitialResources(map[string]types.Resource{}))
		mux.Caches[urlFront+kind] = caches[urlFront+kind]
	}
	socket, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	grpcServer := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer,
		server.NewServer(context.Background(), mux, callbacks(s)))
	go func() { log.Fatal(grpcServer.Serve(socket)) }()
	emit(event{"event": "listening", "address": socket.Addr().String()})
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c command
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			err = obey(s, caches, c)
		}
		if err != nil {
			emit(event{"event": "error", "text": err.Error()})
		} else {
			emit(event{"event": "done", "op": c.Op})
		}
	}
}
