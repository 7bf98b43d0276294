// One pod: its network, volumes and containers from the binding to the end, and its status.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

type pod struct {
	node    *node
	folder  string
	network *network
	tokens  map[string]token // of writeVolumes alone, which one goroutine calls at a time
	begun   metav1.Time

	mu         sync.Mutex
	object     *v1.Pod
	containers []*container
	problem    string // why containers do not start yet
	initDone   bool

	dirty   chan struct{} // something of the status may have changed
	leave   chan struct{} // closed when the pod is to end
	leaving sync.Once
	forced  bool          // the object is gone: nobody waits for a graceful end
	gone    chan struct{} // closed when nothing is left of it
}

func (p *pod) latest() *v1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.object
}

func (p *pod) touch() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// see takes a newer object.
func (p *pod) see(object *v1.Pod) {
	p.mu.Lock()
	p.object = object
	p.mu.Unlock()
	if object.DeletionTimestamp != nil {
		p.leaving.Do(func() { close(p.leave) })
	}
}

// forget: the object is gone from the API server.
func (p *pod) forget() {
	p.mu.Lock()
	p.forced = true
	p.mu.Unlock()
	p.leaving.Do(func() { close(p.leave) })
}

func (p *pod) container(name string) *container {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, each := range p.containers {
		if each.spec.Name == name {
			return each
		}
	}
	return nil
}

func (p *pod) prepare() error {
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		return err
	}
	object := p.latest()
	address := p.node.addresses.take()
	network, err := networkOpen("p"+string(object.UID)[:12], address)
	if err != nil {
		p.node.addresses.give(address)
		return err
	}
	p.network = network
	all := []*container{}
	add := func(specs []v1.Container, init bool) {
		for i := range specs {
			name := object.Namespace + "_" + object.Name + "_" + specs[i].Name + ".log"
			all = append(all, &container{pod: p, spec: &specs[i], init: init,
				journal: newJournal(filepath.Join(p.node.state, "logs", name)),
				state: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{
					Reason: "ContainerCreating"}}})
		}
	}
	add(object.Spec.InitContainers, true)
	add(object.Spec.Containers, false)
	p.mu.Lock()
	p.containers = all
	p.mu.Unlock()
	return nil
}

// waitVolumes: a pod may come before the Secrets and ConfigMaps that it names.
func (p *pod) waitVolumes(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.writeVolumes(ctx, p.latest())
		p.mu.Lock()
		p.problem = ""
		if err != nil {
			p.problem = err.Error()
		}
		p.mu.Unlock()
		if err == nil {
			return
		}
		p.touch()
		select {
		case <-ctx.Done():
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// initialize runs the init containers one after another, each until it succeeds.
func (p *pod) initialize(ctx context.Context) bool {
	for _, each := range p.containers {
		if !each.init {
			continue
		}
		for {
			_, code := each.run(ctx)
			if code == 0 {
				break
			}
			select {
			case <-ctx.Done():
				return false
			case <-time.After(firstPause):
			}
			each.set(func() { each.restarts++ })
		}
	}
	p.mu.Lock()
	p.initDone = true
	p.mu.Unlock()
	p.touch()
	return ctx.Err() == nil
}

// live is the pod's whole life.
func (p *pod) live() {
	defer close(p.gone)
	for {
		err := p.prepare()
		if err == nil {
			break
		}
		p.node.say(p, "not prepared: %s", err)
		select {
		case <-p.leave:
			p.remove()
			return
		case <-time.After(time.Second):
		}
	}
	running, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	all.Add(2)
	go func() {
		defer all.Done()
		p.reportAll(running)
	}()
	go func() {
		defer all.Done()
		p.waitVolumes(running)
		if !p.initialize(running) {
			return
		}
		for _, each := range p.containers {
			if !each.init {
				all.Add(1)
				go func() {
					defer all.Done()
					each.supervise(running)
				}()
			}
		}
		p.followVolumes(running)
	}()
	<-p.leave
	p.stop(end)
	all.Wait()
	p.remove()
}

func (p *pod) stop(end context.CancelFunc) {
	p.mu.Lock()
	grace := 30 * time.Second
	if seconds := p.object.DeletionGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	} else if seconds := p.object.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	if p.forced {
		grace = 0
	}
	p.mu.Unlock()
	end() // nothing starts any more
	var each sync.WaitGroup
	for _, c := range p.containers {
		each.Add(1)
		go func() {
			defer each.Done()
			c.stop(grace)
		}()
	}
	each.Wait()
}

// remove takes away what the pod had, the object last.
func (p *pod) remove() {
	if p.network != nil {
		p.network.close()
	}
	for _, each := range p.containers {
		each.journal.close()
	}
	_ = os.RemoveAll(p.folder)
	object := p.latest()
	zero := int64(0)
	for try := 0; try < 20; try++ {
		err := p.node.client.CoreV1().Pods(object.Namespace).Delete(context.Background(),
			object.Name, metav1.DeleteOptions{GracePeriodSeconds: &zero,
				Preconditions: &metav1.Preconditions{UID: &object.UID}})
		if err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			break
		}
		time.Sleep(500 * time.Millisecond)
	}
	if p.network != nil {
		p.node.addresses.give(p.network.address)
	}
}

func condition(kind v1.PodConditionType, is bool, reason, message string) v1.PodCondition {
	status := v1.ConditionFalse
	if is {
		status, reason, message = v1.ConditionTrue, "", ""
	}
	return v1.PodCondition{Type: kind, Status: status, Reason: reason, Message: message}
}

func (p *pod) status() v1.PodStatus {
	object := p.latest()
	p.mu.Lock()
	problem, initDone := p.problem, p.initDone
	p.mu.Unlock()
	status := v1.PodStatus{HostIP: nodeAddress, HostIPs: []v1.HostIP{{IP: nodeAddress}},
		PodIP: p.network.address, PodIPs: []v1.PodIP{{IP: p.network.address}},
		StartTime: &p.begun, Phase: v1.PodPending}
	ready, running, ended, failed := true, 0, 0, 0
	for _, each := range p.containers {
		one := each.status(object)
		if each.init {
			status.InitContainerStatuses = append(status.InitContainerStatuses, one)
			continue
		}
		status.ContainerStatuses = append(status.ContainerStatuses, one)
		ready = ready && one.Ready
		if one.State.Running != nil || one.RestartCount > 0 {
			running++
		}
		if one.State.Terminated != nil && object.Spec.RestartPolicy != v1.RestartPolicyAlways {
			ended++
			if one.State.Terminated.ExitCode != 0 {
				failed++
			}
		}
	}
	switch {
	case ended == len(object.Spec.Containers) && failed > 0:
		status.Phase = v1.PodFailed
	case ended == len(object.Spec.Containers):
		status.Phase = v1.PodSucceeded
	case running > 0:
		status.Phase = v1.PodRunning
	}
	status.Conditions = []v1.PodCondition{
		condition(v1.PodScheduled, true, "", ""),
		condition(v1.PodInitialized, initDone, "ContainersNotInitialized", problem),
		condition(v1.ContainersReady, ready, "ContainersNotReady", problem),
		condition(v1.PodReady, ready, "ContainersNotReady", problem),
	}
	return status
}

// dateConditions keeps the times of conditions that are as they were.
func dateConditions(conditions, before []v1.PodCondition) {
	for i := range conditions {
		conditions[i].LastTransitionTime = metav1.Now()
		for _, old := range before {
			if old.Type == conditions[i].Type && old.Status == conditions[i].Status {
				conditions[i].LastTransitionTime = old.LastTransitionTime
			}
		}
	}
}

// reportAll writes the status when it has changed.
func (p *pod) reportAll(ctx context.Context) {
	var written v1.PodStatus
	p.touch()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.dirty:
		}
		status := p.status()
		dateConditions(status.Conditions, written.Conditions)
		if apiequality.Semantic.DeepEqual(status, written) {
			continue
		}
		object := p.latest()
		text, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": object.UID}, "status": status})
		if err == nil {
			_, err = p.node.client.CoreV1().Pods(object.Namespace).Patch(ctx, object.Name,
				types.StrategicMergePatchType, text, metav1.PatchOptions{}, "status")
		}
		if err == nil {
			written = status
		} else if ctx.Err() == nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			p.node.say(p, "its status was not written: %s", err)
			time.Sleep(500 * time.Millisecond)
			p.touch()
		}
	}
}
