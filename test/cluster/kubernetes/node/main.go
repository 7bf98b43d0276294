// The node of the rig: binds pods and runs them (pod.go), each in a network namespace of its own
// (network.go) as a process in a file system of its own (container.go, rootfs.go); carries Service
// and load balancer addresses to pods (services.go), answers for their names (dns.go), and serves
// container logs (logs.go). What a real kubelet has as a library is taken from there.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"encoding/json"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// Addresses of the rig; test/cluster/cluster.py has the same ones. The node's own is on lo.
const (
	nodeAddress   = "10.10.0.1"
	podRange      = "10.244.0.0/16"
	serviceRange  = "10.96.0.0/16"
	balancerRange = "10.250.0.0/16"
	dnsAddress    = "10.96.0.10"
)

// image is what the table says of an image: where its files are on this machine, what it runs.
type image struct {
	Files      map[string]string `json:"files"`
	Entrypoint []string          `json:"entrypoint"`
	User       int               `json:"user"`
}

func readImages(path string) (map[string]image, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var images map[string]image
	return images, json.Unmarshal(text, &images)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == launchArgument {
		log.Fatal(launchHere())
	}
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server, as its administrator")
	imageTable := flag.String("images", "", "JSON: image -> files, entrypoint, user")
	state := flag.String("state", "", "folder for volumes, root file systems and logs")
	name := flag.String("name", "node-1", "name of the Node object")
	flag.Parse()

	images, err := readImages(*imageTable)
	if err != nil {
		log.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		log.Fatal(err)
	}
	config.QPS, config.Burst = -1, -1
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.AcceptContentTypes = config.ContentType + ",application/json"
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	_, pods, _ := net.ParseCIDR(podRange)
	_, balancers, _ := net.ParseCIDR(balancerRange)
	n := &node{name: *name, state: *state, images: images, client: client,
		addresses: newPool(pods), pods: map[types.UID]*pod{}}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := n.start(ctx); err != nil {
		log.Fatal(err)
	}
	s := &services{client: client, addresses: newPool(balancers), kick: make(chan struct{}, 1)}
	if err := s.start(ctx); err != nil {
		log.Fatal(err)
	}
	if err := serveNames(ctx, s); err != nil {
		log.Fatal(err)
	}
	log.Printf("node %s is up", *name)
	<-ctx.Done()
	n.shutdown()
}
