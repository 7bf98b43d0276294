// A range of addresses that are lent one at a time; the one given back longest ago is lent next,
// so that nobody meets a stranger at an address that was just left.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/binary"
	"net"
	"slices"
	"sync"
)

type pool struct {
	mu    sync.Mutex
	block *net.IPNet
	next  uint32
	free  []string
	lent  map[string]bool
}

func newPool(block *net.IPNet) *pool {
	return &pool{block: block, next: 1, lent: map[string]bool{}}
}

// take lends an address; "" when all are lent.
func (p *pool) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	ones, bits := p.block.Mask.Size()
	for p.next < 1<<(bits-ones)-1 {
		address := make(net.IP, 4)
		binary.BigEndian.PutUint32(address, binary.BigEndian.Uint32(p.block.IP.To4())+p.next)
		p.next++
		if text := address.String(); !p.lent[text] {
			p.lent[text] = true
			return text
		}
	}
	if len(p.free) == 0 {
		return ""
	}
	text := p.free[0]
	p.free = p.free[1:]
	p.lent[text] = true
	return text
}

// claim lends this very address; false when it is outside of the range or lent.
func (p *pool) claim(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	address := net.ParseIP(text)
	if address == nil || !p.block.Contains(address) || p.lent[text] {
		return false
	}
	p.free = slices.DeleteFunc(p.free, func(each string) bool { return each == text })
	p.lent[text] = true
	return true
}

func (p *pool) give(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lent[text] {
		delete(p.lent, text)
		p.free = append(p.free, text)
	}
}
