// Startup, readiness and liveness of a container, asked by a kubelet's own probers.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/probe"
	grpcprobe "k8s.io/kubernetes/pkg/probe/grpc"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	tcpprobe "k8s.io/kubernetes/pkg/probe/tcp"
)

var (
	httpProber = httpprobe.New(false)
	tcpProber  = tcpprobe.New()
	grpcProber = grpcprobe.New()
)

// ask answers whether the container passes now, and what was said.
func (c *container) ask(what *v1.Probe) (bool, string) {
	address := c.pod.network.address
	timeout := time.Duration(max(what.TimeoutSeconds, 1)) * time.Second
	var result probe.Result
	var said string
	var err error
	switch {
	case what.HTTPGet != nil:
		request, broken := httpprobe.NewRequestForHTTPGetAction(what.HTTPGet, c.spec, address,
			"probe")
		if broken != nil {
			return false, broken.Error()
		}
		result, said, err = httpProber.Probe(request, timeout)
	case what.TCPSocket != nil:
		port, broken := probe.ResolveContainerPort(what.TCPSocket.Port, c.spec)
		if broken != nil {
			return false, broken.Error()
		}
		result, said, err = tcpProber.Probe(address, port, timeout)
	case what.GRPC != nil:
		service := ""
		if what.GRPC.Service != nil {
			service = *what.GRPC.Service
		}
		result, said, err = grpcProber.Probe(address, service, int(what.GRPC.Port), timeout)
	default:
		return false, "this node does not know such a probe"
	}
	if err != nil {
		return false, err.Error()
	}
	return result == probe.Success || result == probe.Warning, said
}

// watch asks until ctx ends and tells of each turn; it begins with neither.
func (c *container) watch(ctx context.Context, what *v1.Probe, turned func(bool, string) bool) {
	successes, failures := int32(0), int32(0)
	wait := time.Duration(what.InitialDelaySeconds) * time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		passed, said := c.ask(what)
		if ctx.Err() != nil {
			return
		}
		if passed {
			successes, failures = successes+1, 0
		} else {
			successes, failures = 0, failures+1
		}
		if successes == max(what.SuccessThreshold, 1) && !turned(true, said) {
			return
		}
		if failures == max(what.FailureThreshold, 1) && !turned(false, said) {
			return
		}
		wait = time.Duration(max(what.PeriodSeconds, 1)) * time.Second
		if what == c.spec.ReadinessProbe && !c.isReady() {
			wait = min(wait, 500*time.Millisecond) // nothing is gained by a slower start
		}
	}
}

func (c *container) isReady() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ready
}

// kill ends this run of the program; the next one has another process.
func (c *container) kill(why string) {
	c.pod.node.say(c.pod, "%s is killed: %s", c.spec.Name, why)
	c.mu.Lock()
	process := c.process
	c.mu.Unlock()
	if process == nil || process.Signal(syscall.SIGTERM) != nil {
		return
	}
	grace := time.Duration(*c.pod.latest().Spec.TerminationGracePeriodSeconds) * time.Second
	time.AfterFunc(grace, func() { _ = process.Signal(syscall.SIGKILL) })
}

// probe asks while one run of the program lasts.
func (c *container) probe(ctx context.Context) {
	if c.spec.StartupProbe != nil {
		passed := false
		c.watch(ctx, c.spec.StartupProbe, func(good bool, said string) bool {
			passed = good
			if !good {
				c.kill("its startup probe: " + said)
			}
			return false
		})
		if !passed || ctx.Err() != nil {
			return
		}
		c.set(func() { c.started, c.ready = true, c.spec.ReadinessProbe == nil })
	}
	if c.spec.ReadinessProbe != nil {
		go c.watch(ctx, c.spec.ReadinessProbe, func(good bool, said string) bool {
			if !good {
				c.pod.node.say(c.pod, "%s is not ready: %s", c.spec.Name, said)
			}
			c.set(func() { c.ready = good })
			return true
		})
	}
	if c.spec.LivenessProbe != nil {
		go c.watch(ctx, c.spec.LivenessProbe, func(good bool, said string) bool {
			if !good {
				c.kill("its liveness probe: " + said)
			}
			return good
		})
	}
}
