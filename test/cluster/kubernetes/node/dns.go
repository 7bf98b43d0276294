// Names of Services, as the cluster's DNS answers them: <service>.<namespace>.svc.cluster.local is
// the cluster address, of a headless Service those of its endpoints, of an ExternalName a CNAME.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	v1 "k8s.io/api/core/v1"

	"golang.org/x/net/dns/dnsmessage"
)

const zone = ".svc.cluster.local."

// lookUp answers the addresses or the other name of a name; false: there is no such name.
func (s *services) lookUp(name string) (addresses []string, other string, found bool) {
	short, inside := strings.CutSuffix(strings.ToLower(name), zone)
	labels := strings.Split(short, ".")
	if !inside || len(labels) < 2 {
		return nil, "", false
	}
	service, err := s.lister.Services(labels[len(labels)-1]).Get(labels[len(labels)-2])
	if err != nil || len(labels) > 2 {
		return nil, "", false
	}
	if service.Spec.Type == v1.ServiceTypeExternalName {
		return nil, strings.TrimSuffix(service.Spec.ExternalName, ".") + ".", true
	}
	if service.Spec.ClusterIP != v1.ClusterIPNone {
		return service.Spec.ClusterIPs, "", true
	}
	seen := map[string]bool{}
	for i := range service.Spec.Ports {
		for _, each := range s.endpointsOf(service, &service.Spec.Ports[i]) {
			address, _, _ := net.SplitHostPort(each)
			if !seen[address] {
				seen[address] = true
				addresses = append(addresses, address)
			}
		}
	}
	return addresses, "", true
}

func (s *services) answer(query []byte) ([]byte, error) {
	var parser dnsmessage.Parser
	header, err := parser.Start(query)
	if err != nil {
		return nil, err
	}
	question, err := parser.Question()
	if err != nil {
		return nil, err
	}
	addresses, other, found := s.lookUp(question.Name.String())
	header.Response, header.Authoritative, header.RecursionAvailable = true, true, true
	if !found {
		header.RCode = dnsmessage.RCodeNameError
	}
	builder := dnsmessage.NewBuilder(nil, header)
	if err := builder.StartQuestions(); err != nil {
		return nil, err
	}
	if err := builder.Question(question); err != nil {
		return nil, err
	}
	if err := builder.StartAnswers(); err != nil {
		return nil, err
	}
	resource := dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: 5}
	if other != "" {
		target, err := dnsmessage.NewName(other)
		if err != nil {
			return nil, err
		}
		if err := builder.CNAMEResource(resource, dnsmessage.CNAMEResource{CNAME: target}); err != nil {
			return nil, err
		}
		resource.Name = target
		addresses, _, _ = s.lookUp(other)
	}
	for _, each := range addresses {
		ip := net.ParseIP(each).To4()
		if ip == nil || question.Type != dnsmessage.TypeA {
			continue
		}
		if err := builder.AResource(resource, dnsmessage.AResource{A: [4]byte(ip)}); err != nil {
			return nil, err
		}
	}
	return builder.Finish()
}

func serveNames(ctx context.Context, s *services) error {
	socket, err := net.ListenPacket("udp4", dnsAddress+":53")
	if err != nil {
		return fmt.Errorf("names: %w", err)
	}
	context.AfterFunc(ctx, func() { _ = socket.Close() })
	go func() {
		query := make([]byte, 4096)
		for {
			size, from, err := socket.ReadFrom(query)
			if err != nil {
				return
			}
			if text, err := s.answer(query[:size]); err == nil {
				_, _ = socket.WriteTo(text, from)
			}
		}
	}()
	return nil
}
