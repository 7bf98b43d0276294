// Service addresses: nftables on the node translate a cluster, external or load balancer address
// to that of a ready endpoint, as kube-proxy's nftables mode does; load balancer addresses are lent
// here too. A Service that asks for an address outside of the range waits for ever.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	discoverylisters "k8s.io/client-go/listers/discovery/v1"
	"k8s.io/client-go/tools/cache"
)

type services struct {
	client    kubernetes.Interface
	addresses *pool
	lister    listers.ServiceLister
	slices    discoverylisters.EndpointSliceLister
	kick      chan struct{}
	lent      map[types.NamespacedName]string
	applied   string
}

// endpointsOf lists address:port of a Service port: the ready ones, else those that end but serve.
func (s *services) endpointsOf(service *v1.Service, port *v1.ServicePort) []string {
	found, _ := s.slices.EndpointSlices(service.Namespace).List(labels.SelectorFromSet(
		labels.Set{discovery.LabelServiceName: service.Name}))
	ready, ending := map[string]bool{}, map[string]bool{}
	for _, slice := range found {
		if slice.AddressType != discovery.AddressTypeIPv4 {
			continue
		}
		for _, each := range slice.Ports {
			if each.Port == nil || each.Name != nil && *each.Name != port.Name ||
				each.Protocol != nil && *each.Protocol != port.Protocol {
				continue
			}
			for _, endpoint := range slice.Endpoints {
				is := endpoint.Conditions
				for _, address := range endpoint.Addresses {
					text := fmt.Sprintf("%s:%d", address, *each.Port)
					if is.Ready == nil || *is.Ready {
						ready[text] = true
					} else if is.Serving != nil && *is.Serving {
						ending[text] = true
					}
				}
			}
		}
	}
	if len(ready) == 0 {
		ready = ending
	}
	return slices.Sorted(maps.Keys(ready))
}

func addressesOf(service *v1.Service) []string {
	var all []string
	for _, each := range service.Spec.ClusterIPs {
		if each != v1.ClusterIPNone {
			all = append(all, each)
		}
	}
	all = append(all, service.Spec.ExternalIPs...)
	for _, each := range service.Status.LoadBalancer.Ingress {
		all = append(all, each.IP)
	}
	return slices.DeleteFunc(all, func(each string) bool {
		return each == "" || strings.Contains(each, ":")
	})
}

// rules renders the whole table; nft replaces the old one in one transaction.
func (s *services) rules(all []*v1.Service) string {
	var chains, elements bytes.Buffer
	seen := map[string]bool{}
	for _, service := range all {
		if service.Spec.Type == v1.ServiceTypeExternalName {
			continue
		}
		for i := range service.Spec.Ports {
			port := &service.Spec.Ports[i]
			protocol := strings.ToLower(string(port.Protocol))
			name := fmt.Sprintf("%s/%s/%s/%d", service.Namespace, service.Name, protocol, port.Port)
			endpoints := s.endpointsOf(service, port)
			if len(endpoints) == 0 {
				continue
			}
			chain := "s" + strings.NewReplacer("/", "_", "-", "_", ".", "_").Replace(name)
			targets := []string{}
			for j, endpoint := range endpoints {
				fmt.Fprintf(&chains, "\tchain %s_%d { meta l4proto %s dnat to %s; }\n", chain, j,
					protocol, endpoint)
				targets = append(targets, fmt.Sprintf("%d : goto %s_%d", j, chain, j))
			}
			fmt.Fprintf(&chains, "\tchain %s { numgen random mod %d vmap { %s }; }\n", chain,
				len(endpoints), strings.Join(targets, ", "))
			for _, address := range addressesOf(service) {
				key := fmt.Sprintf("%s . %s . %d", address, protocol, port.Port)
				if !seen[key] {
					seen[key] = true
					fmt.Fprintf(&elements, "add element ip services addresses { %s : goto %s }\n",
						key, chain)
				}
			}
		}
	}
	return "add table ip services\ndelete table ip services\ntable ip services {\n" +
		"\tmap addresses { type ipv4_addr . inet_proto . inet_service : verdict; }\n" +
		chains.String() + `
	chain translate {
		ip daddr . meta l4proto . th dport vmap @addresses
	}
	chain prerouting { type nat hook prerouting priority dstnat; jump translate; }
	chain output { type nat hook output priority -100; jump translate; }
	chain refuse {
		ip daddr { ` + serviceRange + `, ` + balancerRange + ` } ip daddr != ` + dnsAddress + ` meta l4proto tcp reject with tcp reset
		ip daddr { ` + serviceRange + `, ` + balancerRange + ` } ip daddr != ` + dnsAddress + ` reject
	}
	chain forward { type filter hook forward priority filter; jump refuse; }
	chain local { type filter hook output priority filter; jump refuse; }
}
` + elements.String()
}

func (s *services) apply() error {
	all, err := s.lister.List(labels.Everything())
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b *v1.Service) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	})
	text := s.rules(all)
	if text == s.applied {
		return nil
	}
	command := exec.Command("nft", "-f", "-")
	command.Stdin = strings.NewReader(text)
	if said, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, said)
	}
	s.applied = text
	return nil
}

func (s *services) patch(ctx context.Context, service *v1.Service, ingress []v1.LoadBalancerIngress) {
	text, err := json.Marshal(map[string]any{"status": map[string]any{
		"loadBalancer": map[string]any{"ingress": ingress}}})
	if err == nil {
		_, err = s.client.CoreV1().Services(service.Namespace).Patch(ctx, service.Name,
			types.MergePatchType, text, metav1.PatchOptions{}, "status")
	}
	if err != nil {
		log.Printf("%s/%s: its address was not written: %s", service.Namespace, service.Name, err)
	}
}

// lend gives each LoadBalancer Service an address, and takes back those of Services that left.
func (s *services) lend(ctx context.Context) {
	all, _ := s.lister.List(labels.Everything())
	wanted := map[types.NamespacedName]bool{}
	for _, service := range all {
		key := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
		has := service.Status.LoadBalancer.Ingress
		asked := service.Spec.LoadBalancerIP
		if service.Spec.Type != v1.ServiceTypeLoadBalancer || service.DeletionTimestamp != nil {
			if len(has) > 0 {
				s.patch(ctx, service, nil)
			}
			continue
		}
		if len(has) > 0 && (asked == "" || has[0].IP == asked) {
			if s.lent[key] == "" && s.addresses.claim(has[0].IP) {
				s.lent[key] = has[0].IP
			}
			wanted[key] = true
			continue
		}
		if held := s.lent[key]; held != "" && (asked == "" || held == asked) {
			wanted[key] = true // written already; the watch will tell
			continue
		}
		if asked == "" {
			s.lent[key] = s.addresses.take()
		} else if s.addresses.claim(asked) {
			s.lent[key] = asked
		} else {
			if len(has) > 0 {
				s.patch(ctx, service, nil)
			}
			continue
		}
		wanted[key] = true
		s.patch(ctx, service, []v1.LoadBalancerIngress{{IP: s.lent[key]}})
	}
	for key, address := range s.lent {
		if !wanted[key] {
			s.addresses.give(address)
			delete(s.lent, key)
		}
	}
}

func (s *services) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kick:
		}
		s.lend(ctx)
		if err := s.apply(); err != nil {
			log.Print(err)
		}
		time.Sleep(50 * time.Millisecond) // a burst becomes one transaction
	}
}

func (s *services) start(ctx context.Context) error {
	s.lent = map[types.NamespacedName]string{}
	factory := informers.NewSharedInformerFactory(s.client, 0)
	s.lister = factory.Core().V1().Services().Lister()
	s.slices = factory.Discovery().V1().EndpointSlices().Lister()
	touch := func(any) {
		select {
		case s.kick <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Services().Informer(),
		factory.Discovery().V1().EndpointSlices().Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: touch,
			UpdateFunc: func(_, object any) { touch(object) }, DeleteFunc: touch})
		if err != nil {
			return err
		}
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%s was not listed", kind)
		}
	}
	go s.work(ctx)
	touch(nil)
	return nil
}
