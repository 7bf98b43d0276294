// A pod's network: a namespace with one address, joined to the node's by a routed pair of links,
// so that every packet passes through the node, where Service addresses are translated.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"net"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

type network struct {
	name    string // of the namespace, and of the node's end of the pair
	address string
	handle  netns.NsHandle
}

func host(address string) *net.IPNet {
	return &net.IPNet{IP: net.ParseIP(address).To4(), Mask: net.CIDRMask(32, 32)}
}

// inNamespace calls f on a thread that is in the namespace; what f starts is in it too.
func inNamespace(handle netns.NsHandle, f func() error) error {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		return err
	}
	defer own.Close()
	if err := netns.Set(handle); err != nil {
		return err
	}
	result := f()
	if err := netns.Set(own); err != nil {
		return err // the thread stays locked and ends with its goroutine
	}
	runtime.UnlockOSThread()
	return result
}

func networkOpen(name, address string) (*network, error) {
	runtime.LockOSThread()
	own, err := netns.Get()
	if err != nil {
		return nil, err
	}
	defer own.Close()
	handle, err := netns.NewNamed(name)
	if err != nil {
		return nil, fmt.Errorf("network namespace %s: %w", name, err)
	}
	// As container runtimes do: ports below 1024 are for everybody.
	err = os.WriteFile("/proc/sys/net/ipv4/ip_unprivileged_port_start", []byte("0"), 0o644)
	if back := netns.Set(own); back != nil {
		return nil, back
	}
	runtime.UnlockOSThread()
	n := &network{name: name, address: address, handle: handle}
	if err == nil {
		err = n.join()
	}
	if err != nil {
		n.close()
		return nil, err
	}
	return n, nil
}

func (n *network) join() error {
	inside, err := netlink.NewHandleAt(n.handle)
	if err != nil {
		return err
	}
	defer inside.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: n.name}, PeerName: "eth0",
		PeerNamespace: netlink.NsFd(n.handle)}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("link %s: %w", n.name, err)
	}
	outer, err := netlink.LinkByName(n.name)
	if err != nil {
		return err
	}
	inner, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	loopback, err := inside.LinkByName("lo")
	if err != nil {
		return err
	}
	gateway := host(nodeAddress)
	steps := []func() error{
		func() error { return inside.LinkSetUp(loopback) },
		func() error { return inside.AddrAdd(inner, &netlink.Addr{IPNet: host(n.address)}) },
		func() error { return inside.LinkSetUp(inner) },
		func() error { return netlink.LinkSetUp(outer) },
		func() error {
			return inside.RouteAdd(&netlink.Route{LinkIndex: inner.Attrs().Index, Dst: gateway,
				Scope: netlink.SCOPE_LINK})
		},
		func() error { return inside.RouteAdd(&netlink.Route{Gw: gateway.IP}) },
		func() error {
			return netlink.RouteAdd(&netlink.Route{LinkIndex: outer.Attrs().Index,
				Dst: host(n.address), Src: gateway.IP, Scope: netlink.SCOPE_LINK})
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("network of %s: %w", n.address, err)
		}
	}
	return nil
}

func (n *network) close() {
	if outer, err := netlink.LinkByName(n.name); err == nil {
		_ = netlink.LinkDel(outer)
	}
	_ = n.handle.Close()
	_ = netns.DeleteNamed(n.name)
}
