// The inside of a container's start: this program again, as the first process of its namespaces,
// makes the root file system, gives up its rights and becomes the container's program.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const launchArgument = "launch-container"

type mount struct {
	Source, Target string
	ReadOnly       bool
}

// launch comes as JSON on descriptor 3.
type launch struct {
	Root       string // an empty folder
	Hostname   string
	Mounts     []mount
	Files      map[string]string // small texts, by path
	Args, Env  []string
	Dir        string
	User       int
	Group      int
	Groups     []int
	ReadOnly   bool
	NoNewRight bool
}

// What programs of this machine need of it; the rest of its file system is out of sight.
var hostFolders = []string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ssl",
	"/etc/alternatives", "/etc/ld.so.cache", "/etc/services", "/etc/protocols"}

func bind(source, target string, readOnly bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	if _, err := os.Stat(target); err != nil {
		folder := target
		if !info.IsDir() {
			folder = filepath.Dir(target)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if !info.IsDir() {
			if err := os.WriteFile(target, nil, 0o644); err != nil {
				return err
			}
		}
	}
	if err := unix.Mount(source, target, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", target, err)
	}
	if readOnly {
		return unix.Mount("", target, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, "")
	}
	return nil
}

func (l *launch) makeRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", l.Root, "tmpfs", 0, "mode=755,size=256m"); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	for _, each := range hostFolders {
		info, err := os.Lstat(each)
		if err != nil {
			continue
		}
		if info.Mode()&os.ModeSymlink != 0 {
			target, err := os.Readlink(each)
			if err == nil {
				err = os.Symlink(target, l.Root+each)
			}
			if err != nil {
				return err
			}
		} else if err := bind(each, l.Root+each, true); err != nil {
			return err
		}
	}
	for _, each := range []struct{ target, kind, options string }{
		{"/proc", "proc", ""}, {"/dev", "tmpfs", "mode=755,size=64k"}, {"/dev/shm", "tmpfs", ""},
		{"/tmp", "tmpfs", "mode=1777"}, {"/usr/local", "tmpfs", "mode=755"},
	} {
		if err := os.MkdirAll(l.Root+each.target, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(each.kind, l.Root+each.target, each.kind, 0, each.options); err != nil {
			return fmt.Errorf("%s: %w", each.target, err)
		}
	}
	for _, each := range []string{"null", "zero", "full", "random", "urandom"} {
		if err := bind("/dev/"+each, l.Root+"/dev/"+each, false); err != nil {
			return err
		}
	}
	for name, target := range map[string]string{"fd": "", "stdin": "/0", "stdout": "/1",
		"stderr": "/2"} {
		if err := os.Symlink("/proc/self/fd"+target, l.Root+"/dev/"+name); err != nil {
			return err
		}
	}
	for path, text := range l.Files {
		if err := os.MkdirAll(filepath.Dir(l.Root+path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(l.Root+path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, each := range l.Mounts {
		if err := bind(each.Source, l.Root+each.Target, each.ReadOnly); err != nil {
			return err
		}
	}
	if l.ReadOnly {
		return unix.Mount("", l.Root, "", unix.MS_REMOUNT|unix.MS_RDONLY, "mode=755")
	}
	return nil
}

// dropRights leaves a program that is not root no capability; root keeps what it has.
func (l *launch) dropRights() error {
	// As container runtimes do: the program may open /dev/stdout.
	for _, each := range []*os.File{os.Stdout, os.Stderr} {
		if err := each.Chown(l.User, l.Group); err != nil {
			return err
		}
	}
	groups := append([]int{l.Group}, l.Groups...)
	if err := syscall.Setgroups(groups); err != nil {
		return err
	}
	if err := syscall.Setgid(l.Group); err != nil {
		return err
	}
	if err := syscall.Setuid(l.User); err != nil {
		return err
	}
	if l.NoNewRight {
		return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	}
	return nil
}

// launchHere returns only when it failed.
func launchHere() error {
	var l launch
	if err := json.NewDecoder(os.NewFile(3, "launch")).Decode(&l); err != nil {
		return err
	}
	if err := l.makeRoot(); err != nil {
		return fmt.Errorf("root file system: %w", err)
	}
	if err := unix.Sethostname([]byte(l.Hostname)); err != nil {
		return err
	}
	if err := unix.Chroot(l.Root); err != nil {
		return err
	}
	if err := os.Chdir(l.Dir); err != nil {
		return err
	}
	if err := l.dropRights(); err != nil {
		return fmt.Errorf("rights: %w", err)
	}
	for _, each := range l.Env {
		if path, found := strings.CutPrefix(each, "PATH="); found {
			_ = os.Setenv("PATH", path)
		}
	}
	program, err := exec.LookPath(l.Args[0])
	if err != nil {
		return err
	}
	unix.CloseOnExec(3)
	return fmt.Errorf("%s: %w", program, unix.Exec(program, l.Args, l.Env))
}
