// What a container finds in its environment, and what $(NAME) in its command stands for.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"fmt"
	"strings"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// What is read of Secrets and ConfigMaps is this node's watched copy, as a kubelet's is.
func (n *node) secret(namespace, name string) (*v1.Secret, error) {
	return n.secrets.Secrets(namespace).Get(name)
}

func (n *node) configMap(namespace, name string) (*v1.ConfigMap, error) {
	return n.configMaps.ConfigMaps(namespace).Get(name)
}

// fieldOf answers a fieldRef; status fields come from what this node knows first.
func (p *pod) fieldOf(object *v1.Pod, path string) (string, error) {
	switch path {
	case "status.podIP", "status.podIPs":
		return p.network.address, nil
	case "status.hostIP", "status.hostIPs":
		return nodeAddress, nil
	case "spec.nodeName":
		return object.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return object.Spec.ServiceAccountName, nil
	}
	return fieldpath.ExtractFieldPathAsString(object, path)
}

func quantity(container *v1.Container, source *v1.ResourceFieldSelector) (string, error) {
	kind, name, _ := strings.Cut(source.Resource, ".")
	list := container.Resources.Limits
	if kind == "requests" {
		list = container.Resources.Requests
	}
	amount, found := list[v1.ResourceName(name)]
	if !found {
		return "", fmt.Errorf("%s is not set", source.Resource)
	}
	divisor := source.Divisor.Value()
	if divisor == 0 {
		divisor = 1
	}
	return fmt.Sprint((amount.Value() + divisor - 1) / divisor), nil
}

func (p *pod) valueOf(object *v1.Pod, container *v1.Container,
	from *v1.EnvVarSource) (string, bool, error) {
	switch {
	case from.FieldRef != nil:
		value, err := p.fieldOf(object, from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err := quantity(container, from.ResourceFieldRef)
		return value, true, err
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret, err := p.node.secret(object.Namespace, ref.Name)
		if err == nil {
			if value, found := secret.Data[ref.Key]; found {
				return string(value), true, nil
			}
			err = fmt.Errorf("secret %s has no key %s", ref.Name, ref.Key)
		}
		if ref.Optional != nil && *ref.Optional {
			return "", false, nil
		}
		return "", false, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		configMap, err := p.node.configMap(object.Namespace, ref.Name)
		if err == nil {
			if value, found := configMap.Data[ref.Key]; found {
				return value, true, nil
			}
			err = fmt.Errorf("configMap %s has no key %s", ref.Name, ref.Key)
		}
		if ref.Optional != nil && *ref.Optional {
			return "", false, nil
		}
		return "", false, err
	}
	return "", false, fmt.Errorf("this node does not know such a source of a variable")
}

func (p *pod) importAll(object *v1.Pod, from v1.EnvFromSource,
	values map[string]string) error {
	if ref := from.SecretRef; ref != nil {
		secret, err := p.node.secret(object.Namespace, ref.Name)
		if err != nil {
			if ref.Optional != nil && *ref.Optional {
				return nil
			}
			return err
		}
		for key, value := range secret.Data {
			values[from.Prefix+key] = string(value)
		}
	}
	if ref := from.ConfigMapRef; ref != nil {
		configMap, err := p.node.configMap(object.Namespace, ref.Name)
		if err != nil {
			if ref.Optional != nil && *ref.Optional {
				return nil
			}
			return err
		}
		for key, value := range configMap.Data {
			values[from.Prefix+key] = value
		}
	}
	return nil
}

func (p *pod) environment(object *v1.Pod, container *v1.Container) (
	map[string]string, error) {
	values := map[string]string{"PATH": searchPath, "HOSTNAME": object.Name, "HOME": "/",
		"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443",
		"KUBERNETES_SERVICE_PORT_HTTPS": "443"}
	for _, from := range container.EnvFrom {
		if err := p.importAll(object, from, values); err != nil {
			return nil, err
		}
	}
	lookup := expansion.MappingFuncFor(values)
	for _, each := range container.Env {
		value, found := expansion.Expand(each.Value, lookup), true
		if each.ValueFrom != nil {
			var err error
			value, found, err = p.valueOf(object, container, each.ValueFrom)
			if err != nil {
				return nil, fmt.Errorf("variable %s: %w", each.Name, err)
			}
		}
		if found {
			values[each.Name] = value
		}
	}
	return values, nil
}
