// The volumes of a pod as folders: what the API server holds is written the way a kubelet does it
// (one rename makes all of a change visible) and written anew when it has changed.
// SPDX-License-Identifier: Apache-2.0
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	v1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/secret"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"
)

type payload = map[string]volumeutil.FileProjection

type token struct {
	text  string
	renew time.Time
}

func isOptional(optional *bool) bool {
	return optional != nil && *optional
}

func (p *pod) secretFiles(namespace, name string, items []v1.KeyToPath,
	mode *int32, optional bool) (payload, error) {
	object, err := p.node.secret(namespace, name)
	if apierrors.IsNotFound(err) && optional {
		return payload{}, nil
	}
	if err != nil {
		return nil, err
	}
	return secret.MakePayload(items, object, mode, optional)
}

func (p *pod) configMapFiles(namespace, name string, items []v1.KeyToPath,
	mode *int32, optional bool) (payload, error) {
	object, err := p.node.configMap(namespace, name)
	if apierrors.IsNotFound(err) && optional {
		return payload{}, nil
	}
	if err != nil {
		return nil, err
	}
	return configmap.MakePayload(items, object, mode, optional)
}

func (p *pod) downwardFiles(object *v1.Pod, items []v1.DownwardAPIVolumeFile, mode *int32) (
	payload, error) {
	files := payload{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("downwardAPI: only fieldRef is known to this node")
		}
		text, err := p.fieldOf(object, item.FieldRef.FieldPath)
		if err != nil {
			return nil, err
		}
		bits := *mode
		if item.Mode != nil {
			bits = *item.Mode
		}
		files[item.Path] = volumeutil.FileProjection{Data: []byte(text), Mode: bits}
	}
	return files, nil
}

// tokenFile asks for a token bound to the pod, and again when four fifths of its life are over.
func (p *pod) tokenFile(ctx context.Context, object *v1.Pod, key string,
	source *v1.ServiceAccountTokenProjection) (payload, error) {
	held := p.tokens[key]
	if time.Now().After(held.renew) {
		seconds := int64(3600)
		if source.ExpirationSeconds != nil {
			seconds = *source.ExpirationSeconds
		}
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
			ExpirationSeconds: &seconds,
			BoundObjectRef: &authenticationv1.BoundObjectReference{
				Kind: "Pod", APIVersion: "v1", Name: object.Name, UID: object.UID}}}
		if source.Audience != "" {
			request.Spec.Audiences = []string{source.Audience}
		}
		answer, err := p.node.client.CoreV1().ServiceAccounts(object.Namespace).CreateToken(ctx,
			object.Spec.ServiceAccountName, request, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		life := time.Until(answer.Status.ExpirationTimestamp.Time)
		held = token{answer.Status.Token, time.Now().Add(life * 4 / 5)}
		p.tokens[key] = held
	}
	return payload{source.Path: {Data: []byte(held.text), Mode: 0o644}}, nil
}

func (p *pod) projectedFiles(ctx context.Context, object *v1.Pod, name string,
	source *v1.ProjectedVolumeSource) (payload, error) {
	all := payload{}
	for i, each := range source.Sources {
		var files payload
		var err error
		switch {
		case each.Secret != nil:
			files, err = p.secretFiles(object.Namespace, each.Secret.Name,
				each.Secret.Items, source.DefaultMode, isOptional(each.Secret.Optional))
		case each.ConfigMap != nil:
			files, err = p.configMapFiles(object.Namespace, each.ConfigMap.Name,
				each.ConfigMap.Items, source.DefaultMode, isOptional(each.ConfigMap.Optional))
		case each.DownwardAPI != nil:
			files, err = p.downwardFiles(object, each.DownwardAPI.Items, source.DefaultMode)
		case each.ServiceAccountToken != nil:
			files, err = p.tokenFile(ctx, object, fmt.Sprint(name, i), each.ServiceAccountToken)
		default:
			err = fmt.Errorf("this node does not know source %d of volume %s", i, name)
		}
		if err != nil {
			return nil, err
		}
		for path, file := range files {
			all[path] = file
		}
	}
	return all, nil
}

func (p *pod) volumeFolder(name string) string {
	return filepath.Join(p.folder, "volumes", name)
}

// writeVolume makes the folder of a volume what it should be now.
func (p *pod) writeVolume(ctx context.Context, object *v1.Pod, volume *v1.Volume) error {
	folder := p.volumeFolder(volume.Name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var files payload
	var err error
	switch source := volume.VolumeSource; {
	case source.EmptyDir != nil:
		if security := object.Spec.SecurityContext; security != nil && security.FSGroup != nil {
			if err := os.Chown(folder, -1, int(*security.FSGroup)); err != nil {
				return err
			}
		}
		return os.Chmod(folder, 0o777|os.ModeSetgid)
	case source.Secret != nil:
		files, err = p.secretFiles(object.Namespace, source.Secret.SecretName,
			source.Secret.Items, source.Secret.DefaultMode, isOptional(source.Secret.Optional))
	case source.ConfigMap != nil:
		files, err = p.configMapFiles(object.Namespace, source.ConfigMap.Name,
			source.ConfigMap.Items, source.ConfigMap.DefaultMode,
			isOptional(source.ConfigMap.Optional))
	case source.DownwardAPI != nil:
		files, err = p.downwardFiles(object, source.DownwardAPI.Items,
			source.DownwardAPI.DefaultMode)
	case source.Projected != nil:
		files, err = p.projectedFiles(ctx, object, volume.Name, source.Projected)
	default:
		err = fmt.Errorf("this node does not know such a volume")
	}
	if err != nil {
		return fmt.Errorf("volume %s: %w", volume.Name, err)
	}
	writer, err := volumeutil.NewAtomicWriter(folder, object.Name)
	if err != nil {
		return err
	}
	return writer.Write(files, func(timestamped string) error {
		if security := object.Spec.SecurityContext; security != nil && security.FSGroup != nil {
			return giveGroup(filepath.Join(folder, timestamped), int(*security.FSGroup))
		}
		return nil
	})
}

// giveGroup lets a group read what only the owner could.
func giveGroup(folder string, group int) error {
	return filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&os.ModeSymlink != 0 {
			return err
		}
		if err := os.Lchown(path, -1, group); err != nil {
			return err
		}
		bits := info.Mode().Perm() | (info.Mode().Perm()&0o700)>>3
		return os.Chmod(path, bits)
	})
}

func (p *pod) writeVolumes(ctx context.Context, object *v1.Pod) error {
	for i := range object.Spec.Volumes {
		if err := p.writeVolume(ctx, object, &object.Spec.Volumes[i]); err != nil {
			return err
		}
	}
	return nil
}

// followVolumes keeps them up to date for as long as the pod lives.
func (p *pod) followVolumes(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
			_ = p.writeVolumes(ctx, p.latest())
		}
	}
}
