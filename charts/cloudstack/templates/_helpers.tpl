{{- define "cloudstack.labels" -}}
app.kubernetes.io/name: cloudstack
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "cloudstack.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag }}
{{- end }}

{{/* Names are fixed, not release-qualified: there is one cloud in a cluster, and its policies name its accounts. */}}
{{- define "cloudstack.account" -}}
cloudstack-{{ . }}
{{- end }}

{{/* Environment of every process: (dict "root" $ "env" map) */}}
{{- define "cloudstack.env" -}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: CATALOG_NAMESPACE, value: {{ .root.Values.catalogNamespace | quote }}}
- {name: LOG_LEVEL, value: {{ .root.Values.logLevel | quote }}}
{{- range $name, $value := .env }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "cloudstack.restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* The probes of a container, given the name of its health port: names are unique in a pod. */}}
{{- define "cloudstack.probes" -}}
startupProbe: {httpGet: {path: /healthz, port: {{ . }}}, periodSeconds: 1, failureThreshold: 60}
livenessProbe: {httpGet: {path: /healthz, port: {{ . }}}, periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6}
readinessProbe: {httpGet: {path: /readyz, port: {{ . }}}, periodSeconds: 5, timeoutSeconds: 5}
{{- end }}
