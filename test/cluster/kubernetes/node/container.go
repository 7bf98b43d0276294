// One container: its program is started, watched by probes, started again when it ends, and ended.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

const (
	firstPause = time.Second // before a program that ended is started again; doubled each time
	lastPause  = 30 * time.Second
	goodRun    = time.Minute // after a run of this length the pauses begin anew
)

type container struct {
	pod     *pod
	spec    *v1.Container
	init    bool
	journal *journal

	mu       sync.Mutex
	state    v1.ContainerState
	last     v1.ContainerState
	restarts int32
	started  bool // the startup probe passed
	ready    bool
	process  *os.Process
}

func (c *container) set(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	c.pod.touch()
}

// imageOf finds an image by its repository, or by the last part of it.
func (n *node) imageOf(reference string) (image, bool) {
	repository, _, _ := strings.Cut(reference, "@")
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository = repository[:colon]
	}
	found, ok := n.images[repository]
	if !ok {
		found, ok = n.images[path.Base(repository)]
	}
	return found, ok
}

func (c *container) mounts(object *v1.Pod, values map[string]string) ([]mount, error) {
	var all []mount
	lookup := expansion.MappingFuncFor(values)
	for _, each := range c.spec.VolumeMounts {
		source := c.pod.volumeFolder(each.Name)
		readOnly := each.ReadOnly
		for _, volume := range object.Spec.Volumes {
			if volume.Name == each.Name && volume.EmptyDir == nil {
				readOnly = true
			}
		}
		below := each.SubPath
		if each.SubPathExpr != "" {
			below = expansion.Expand(each.SubPathExpr, lookup)
		}
		if below != "" {
			source = filepath.Join(source, below)
			if _, err := os.Stat(source); err != nil && !readOnly {
				if err := os.MkdirAll(source, 0o777); err != nil {
					return nil, err
				}
			}
		}
		all = append(all, mount{source, each.MountPath, readOnly})
	}
	return all, nil
}

func (c *container) rights(object *v1.Pod, from image, l *launch) {
	l.User, l.Group = from.User, from.User
	if all := object.Spec.SecurityContext; all != nil {
		if all.RunAsUser != nil {
			l.User = int(*all.RunAsUser)
		}
		if all.RunAsGroup != nil {
			l.Group = int(*all.RunAsGroup)
		}
		if all.FSGroup != nil {
			l.Groups = append(l.Groups, int(*all.FSGroup))
		}
	}
	if own := c.spec.SecurityContext; own != nil {
		if own.RunAsUser != nil {
			l.User = int(*own.RunAsUser)
		}
		if own.RunAsGroup != nil {
			l.Group = int(*own.RunAsGroup)
		}
		l.ReadOnly = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
		l.NoNewRight = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	}
}

func (c *container) plan() (*launch, error) {
	object := c.pod.latest()
	from, ok := c.pod.node.imageOf(c.spec.Image)
	if !ok {
		return nil, fmt.Errorf("image %s is not in the table of this node", c.spec.Image)
	}
	values, err := c.pod.environment(object, c.spec)
	if err != nil {
		return nil, err
	}
	l := &launch{Root: filepath.Join(c.pod.folder, "root-"+c.spec.Name), Hostname: object.Name,
		Dir: "/", Files: map[string]string{
			"/etc/hostname": object.Name + "\n",
			"/etc/hosts": fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", c.pod.network.address,
				object.Name),
			"/etc/resolv.conf": fmt.Sprintf("nameserver %s\nsearch %s.svc.cluster.local "+
				"svc.cluster.local cluster.local\noptions ndots:5\n", dnsAddress,
				object.Namespace),
			"/etc/nsswitch.conf": "hosts: files dns\n",
			"/etc/passwd": "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n" +
				"nonroot:x:65532:65532::/:/bin/sh\n",
			"/etc/group": "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n"}}
	if c.spec.WorkingDir != "" {
		l.Dir = c.spec.WorkingDir
	}
	for inside, outside := range from.Files {
		l.Mounts = append(l.Mounts, mount{outside, inside, true})
	}
	mounts, err := c.mounts(object, values)
	if err != nil {
		return nil, err
	}
	l.Mounts = append(l.Mounts, mounts...)
	c.rights(object, from, l)

	lookup := expansion.MappingFuncFor(values)
	command := c.spec.Command
	if len(command) == 0 {
		command = from.Entrypoint
	}
	for _, each := range append(append([]string(nil), command...), c.spec.Args...) {
		l.Args = append(l.Args, expansion.Expand(each, lookup))
	}
	for name, value := range values {
		l.Env = append(l.Env, name+"="+value)
	}
	return l, os.MkdirAll(l.Root, 0o755)
}

// start starts the program; its output goes to the journal until it ends.
func (c *container) start() (*exec.Cmd, error) {
	l, err := c.plan()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	output, input, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	order, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	own, err := os.Executable()
	if err != nil {
		return nil, err
	}
	command := exec.Command(own, launchArgument)
	command.Stdout, command.Stderr, command.ExtraFiles = input, input, []*os.File{order}
	command.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS |
		syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC, Setsid: true}
	err = inNamespace(c.pod.network.handle, command.Start)
	_, _ = input.Close(), order.Close()
	if err != nil {
		_, _ = output.Close(), write.Close()
		return nil, err
	}
	go func() {
		c.journal.read(output)
		_ = output.Close()
	}()
	go func() {
		_, _ = write.Write(text)
		_ = write.Close()
	}()
	return command, nil
}

// run starts the program and returns when it has ended; false when it could not be started.
func (c *container) run(ctx context.Context) (bool, int32) {
	command, err := c.start()
	if err != nil {
		c.set(func() {
			c.state = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{
				Reason: "CreateContainerError", Message: err.Error()}}
		})
		return false, -1
	}
	began := metav1.Now()
	c.set(func() {
		c.process = command.Process
		c.state = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: began}}
		c.started = c.spec.StartupProbe == nil
		c.ready = c.started && c.spec.ReadinessProbe == nil
	})
	if ctx.Err() != nil { // stop may have come before there was anything to stop
		c.signal(syscall.SIGKILL)
	}
	alive, end := context.WithCancel(ctx)
	go c.probe(alive)
	_ = command.Wait()
	end()
	code := int32(command.ProcessState.ExitCode())
	if status, ok := command.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int32(status.Signal())
	}
	reason := "Error"
	if code == 0 {
		reason = "Completed"
	}
	c.set(func() {
		c.process = nil
		c.started, c.ready = false, false
		c.state = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code,
			Reason: reason, StartedAt: began, FinishedAt: metav1.Now()}}
	})
	return true, code
}

// supervise runs the program again and again as the pod's restart policy says.
func (c *container) supervise(ctx context.Context) {
	policy := c.pod.latest().Spec.RestartPolicy
	pause := firstPause
	for ctx.Err() == nil {
		began := time.Now()
		ran, code := c.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if ran && (code == 0 && policy != v1.RestartPolicyAlways ||
			policy == v1.RestartPolicyNever) {
			return
		}
		if time.Since(began) > goodRun {
			pause = firstPause
		}
		if ran {
			c.pod.node.say(c.pod, "%s ended with %d; again in %s", c.spec.Name, code, pause)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		pause = min(2*pause, lastPause)
		if ran {
			c.set(func() {
				c.last = c.state
				c.restarts++
			})
		}
	}
}

func (c *container) signal(what syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		_ = c.process.Signal(what)
	}
}

// stop asks the program to end, then makes it end.
func (c *container) stop(grace time.Duration) {
	deadline := time.Now().Add(grace)
	if hook := c.spec.Lifecycle; hook != nil && hook.PreStop != nil && hook.PreStop.Sleep != nil {
		time.Sleep(min(time.Duration(hook.PreStop.Sleep.Seconds)*time.Second, grace))
	}
	c.signal(syscall.SIGTERM)
	for time.Now().Before(deadline) {
		c.mu.Lock()
		ended := c.process == nil
		c.mu.Unlock()
		if ended {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.signal(syscall.SIGKILL)
}

func (c *container) status(object *v1.Pod) v1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	started := c.started
	return v1.ContainerStatus{Name: c.spec.Name, State: c.state, LastTerminationState: c.last,
		Ready: c.ready, RestartCount: c.restarts, Image: c.spec.Image, ImageID: c.spec.Image,
		ContainerID: fmt.Sprintf("rig://%s/%s/%d", object.UID, c.spec.Name, c.restarts),
		Started:     &started}
}
