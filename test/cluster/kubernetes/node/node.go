// The Node object, and which pods there are.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"

	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

type node struct {
	name, state string
	images      map[string]image
	client      kubernetes.Interface
	addresses   *pool
	secrets     listers.SecretLister
	configMaps  listers.ConfigMapLister

	mu   sync.Mutex
	pods map[types.UID]*pod
	gone sync.WaitGroup
}

func (n *node) say(p *pod, format string, arguments ...any) {
	object := p.latest()
	log.Printf("%s/%s: %s", object.Namespace, object.Name, fmt.Sprintf(format, arguments...))
}

func (n *node) podNamed(namespace, name string) *pod {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, each := range n.pods {
		if object := each.latest(); object.Namespace == namespace && object.Name == name {
			return each
		}
	}
	return nil
}

func (n *node) register(ctx context.Context) error {
	amounts := v1.ResourceList{v1.ResourceCPU: resource.MustParse("64"),
		v1.ResourceMemory: resource.MustParse("256Gi"), v1.ResourcePods: resource.MustParse("1000")}
	object := &v1.Node{ObjectMeta: metav1.ObjectMeta{Name: n.name, Labels: map[string]string{
		"kubernetes.io/hostname": n.name, "kubernetes.io/os": "linux",
		"topology.kubernetes.io/zone": "rig"}}}
	nodes := n.client.CoreV1().Nodes()
	_, err := nodes.Create(ctx, object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	object, err = nodes.Get(ctx, n.name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	object.Status.Capacity, object.Status.Allocatable = amounts, amounts
	object.Status.Addresses = []v1.NodeAddress{{Type: v1.NodeInternalIP, Address: nodeAddress},
		{Type: v1.NodeHostName, Address: n.name}}
	object.Status.DaemonEndpoints.KubeletEndpoint.Port = 10250
	now := metav1.Now()
	object.Status.Conditions = []v1.NodeCondition{{Type: v1.NodeReady, Status: v1.ConditionTrue,
		Reason: "KubeletReady", LastHeartbeatTime: now, LastTransitionTime: now}}
	_, err = nodes.UpdateStatus(ctx, object, metav1.UpdateOptions{})
	return err
}

// take begins the life of a pod, or binds it to this node first: it comes again then.
func (n *node) take(ctx context.Context, object *v1.Pod) {
	if object.Spec.NodeName == "" {
		if object.DeletionTimestamp != nil {
			return
		}
		err := n.client.CoreV1().Pods(object.Namespace).Bind(ctx, &v1.Binding{
			ObjectMeta: metav1.ObjectMeta{Namespace: object.Namespace, Name: object.Name,
				UID: object.UID},
			Target: v1.ObjectReference{Kind: "Node", Name: n.name}}, metav1.CreateOptions{})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			log.Printf("%s/%s is not bound: %s", object.Namespace, object.Name, err)
		}
		return
	}
	if object.Spec.NodeName != n.name {
		return
	}
	n.mu.Lock()
	known := n.pods[object.UID]
	if known == nil && object.DeletionTimestamp != nil {
		n.mu.Unlock() // its end was seen to already, or nothing of it was ever begun
		zero := int64(0)
		_ = n.client.CoreV1().Pods(object.Namespace).Delete(ctx, object.Name,
			metav1.DeleteOptions{GracePeriodSeconds: &zero,
				Preconditions: &metav1.Preconditions{UID: &object.UID}})
		return
	}
	if known == nil {
		known = &pod{node: n, object: object, begun: metav1.Now(), tokens: map[string]token{},
			folder: filepath.Join(n.state, "pods", string(object.UID)),
			dirty:  make(chan struct{}, 1), leave: make(chan struct{}),
			gone: make(chan struct{})}
		n.pods[object.UID] = known
		n.gone.Add(1)
		go func() {
			defer n.gone.Done()
			known.live()
			n.mu.Lock()
			delete(n.pods, object.UID)
			n.mu.Unlock()
		}()
	}
	n.mu.Unlock()
	known.see(object)
}

func (n *node) drop(object *v1.Pod) {
	n.mu.Lock()
	known := n.pods[object.UID]
	n.mu.Unlock()
	if known != nil {
		known.forget()
	}
}

func (n *node) start(ctx context.Context) error {
	for _, each := range []string{"pods", "logs"} {
		if err := os.MkdirAll(filepath.Join(n.state, each), 0o755); err != nil {
			return err
		}
	}
	if err := n.register(ctx); err != nil {
		return fmt.Errorf("the Node object: %w", err)
	}
	if err := n.serveLogs(ctx); err != nil {
		return fmt.Errorf("container logs: %w", err)
	}
	factory := informers.NewSharedInformerFactory(n.client, 0)
	core := factory.Core().V1()
	n.secrets, n.configMaps = core.Secrets().Lister(), core.ConfigMaps().Lister()
	pods := core.Pods().Informer()
	_, err := pods.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(object any) { n.take(ctx, object.(*v1.Pod)) },
		UpdateFunc: func(_, object any) { n.take(ctx, object.(*v1.Pod)) },
		DeleteFunc: func(object any) {
			if last, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = last.Obj
			}
			n.drop(object.(*v1.Pod))
		}})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("%s was not listed", kind)
		}
	}
	return nil
}

// shutdown ends all pods without touching their objects' future: the rig is going away.
func (n *node) shutdown() {
	n.mu.Lock()
	for _, each := range n.pods {
		for _, c := range each.containers {
			c.signal(9)
		}
	}
	n.mu.Unlock()
}
