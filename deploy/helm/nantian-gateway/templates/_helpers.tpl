{{- /* Names are fixed: data planes, the command line and the Lease know them. One release a cluster. */}}

{{- define "nantian.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: nantian
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* Labels and namespace of an object of the control plane. */}}
{{- define "nantian.metadata" -}}
name: nantian-control
namespace: {{ .Release.Namespace }}
labels:
  app.kubernetes.io/name: nantian-control
  {{- include "nantian.labels" . | nindent 2 }}
{{- end }}

{{- /* Of what `helm test` makes; the last line is of its annotations, and more may follow. */}}
{{- define "nantian.testMetadata" -}}
name: nantian-test
namespace: {{ .Release.Namespace }}
labels:
  app.kubernetes.io/name: nantian-test
  {{- include "nantian.labels" . | nindent 2 }}
annotations:
  helm.sh/hook: test
{{- end }}

{{- /* (dict "root" $ "image" IMAGE) */}}
{{- define "nantian.image" -}}
{{- with .root.Values.global.imageRegistry }}{{ trimSuffix "/" . }}/{{ end }}
{{- .image.repository }}
{{- with .image.tag }}:{{ . }}{{ end }}
{{- with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- /* What the GatewayClass names: an object of the user's, or the one that is made of dataPlane.parameters. */}}
{{- define "nantian.parametersRef" -}}
{{- $class := .Values.gatewayClass }}
{{- if and .Values.dataPlane.parameters (not $class.create) }}
{{- fail "dataPlane.parameters belong to the GatewayClass of this chart: they need gatewayClass.create" }}
{{- else if and .Values.dataPlane.parameters $class.parametersRef }}
{{- fail "gatewayClass.parametersRef and dataPlane.parameters are two answers to one question: leave one out" }}
{{- else if .Values.dataPlane.parameters }}
group: gateway.nantian.dev
kind: GatewayParameters
name: {{ $class.name }}
namespace: {{ .Release.Namespace }}
{{- else if $class.parametersRef }}
{{- toYaml $class.parametersRef }}
{{- end }}
{{- end }}
