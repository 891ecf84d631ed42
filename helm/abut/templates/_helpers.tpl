{{- /* What all names begin with; long ones are cut, with a digest so that two releases stay apart. */ -}}
{{- define "abut.name" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- end -}}
{{- if gt (len $name) 34 -}}
{{- printf "%s-%s" ($name | trunc 27 | trimSuffix "-") ($name | sha256sum | trunc 6) -}}
{{- else -}}
{{- $name -}}
{{- end -}}
{{- end -}}

{{- define "abut.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "abut.labels" -}}
{{ include "abut.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "abut.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ $image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- /* A part's values over those of all parts; JSON. */ -}}
{{- define "abut.part" -}}
{{- mergeOverwrite (deepCopy .root.Values.partDefaults) (deepCopy (index .root.Values.parts .part | default dict)) | toJson -}}
{{- end -}}

{{- /* Largest number of pods of a part. */ -}}
{{- define "abut.most" -}}
{{- if .autoscaling.enabled }}{{ .autoscaling.maxReplicas }}{{ else }}{{ .replicas }}{{ end -}}
{{- end -}}

{{- define "abut.isFolder" -}}
{{- if not (contains "://" .Values.archive.url) }}true{{ end -}}
{{- end -}}

{{- define "abut.archive" -}}
{{- .Values.archive.url | default "/data/archive" -}}
{{- end -}}

{{- define "abut.claim" -}}
{{- .Values.archive.folder.existingClaim | default (printf "%s-archive" (include "abut.name" .)) -}}
{{- end -}}

{{- define "abut.catalogue" -}}
{{- if .Values.postgresql.enabled -}}
postgresql://{{ include "abut.name" . }}-postgresql:5432/abut
{{- else -}}
{{ .Values.catalogue.url }}
{{- end -}}
{{- end -}}

{{- define "abut.isSqlite" -}}
{{- $url := include "abut.catalogue" . -}}
{{- if or (not $url) (not (contains "://" $url)) (hasPrefix "sqlite" $url) }}true{{ end -}}
{{- end -}}

{{- define "abut.jobsAreFiles" -}}
{{- $url := .Values.jobs.url | default (include "abut.catalogue" .) -}}
{{- if not (hasPrefix "postgres" $url) }}true{{ end -}}
{{- end -}}

{{- /* URL under which clients see everything. */ -}}
{{- define "abut.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{ .Values.publicUrl }}
{{- else if and .Values.ingress.enabled .Values.ingress.host -}}
{{ ternary "https" "http" (not (empty .Values.ingress.tlsSecret)) }}://{{ .Values.ingress.host }}
{{- else if and .Values.gateway.enabled .Values.gateway.host -}}
{{ ternary "https" "http" .Values.gateway.https }}://{{ .Values.gateway.host }}
{{- end -}}
{{- end -}}

{{- /* Parts that are there, separated by blanks. */ -}}
{{- define "abut.parts" -}}
{{- $root := . -}}
{{- $there := list -}}
{{- range $part, $_ := .Values.parts -}}
{{- if (include "abut.part" (dict "root" $root "part" $part) | fromJson).enabled -}}
{{- $there = append $there $part -}}
{{- end -}}
{{- end -}}
{{- join " " $there -}}
{{- end -}}

{{- /* A value as the environment has it: whole numbers without an exponent. */ -}}
{{- define "abut.text" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) }}{{ int64 . }}{{ else }}{{ . }}{{ end -}}
{{- end -}}

{{- define "abut.scheduler" -}}
{{- if eq .Values.dask.mode "address" -}}
{{ .Values.dask.address }}
{{- else if eq .Values.dask.mode "deployment" -}}
tcp://{{ include "abut.name" . }}-scheduler:8786
{{- else if eq .Values.dask.mode "operator" -}}
tcp://{{ include "abut.name" . }}-dask-scheduler.{{ .Release.Namespace }}.svc:8786
{{- end -}}
{{- end -}}

{{- define "abut.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "abut.security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "abut.environment" -}}
{{- with .Values.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{ include "abut.sources" . }}
{{- end -}}

{{- define "abut.sources" -}}
envFrom:
  - configMapRef: {name: {{ include "abut.name" . }}}
  {{- if and .Values.postgresql.enabled .Values.postgresql.existingSecret }}
  - secretRef: {name: {{ .Values.postgresql.existingSecret }}}
  {{- end }}
  {{- range .Values.secrets }}
  - secretRef: {name: {{ . }}}
  {{- end }}
  {{- with .Values.extraEnvFrom }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{- define "abut.mounts" -}}
- {name: tmp, mountPath: /tmp}
{{- if include "abut.isFolder" . }}
- {name: archive, mountPath: /data}
{{- end }}
{{- end -}}

{{- define "abut.volumes" -}}
- name: tmp
  emptyDir: {sizeLimit: {{ .size }}}
{{- if include "abut.isFolder" .root }}
- name: archive
  persistentVolumeClaim: {claimName: {{ include "abut.claim" .root }}}
{{- end }}
{{- end -}}

{{- /* What all pods of Abut have in common: annotations and the first lines of a pod's spec. */ -}}
{{- define "abut.annotations" -}}
checksum/config: {{ include (print .Template.BasePath "/configmap.yaml") . | sha256sum }}
{{- with .Values.podAnnotations }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "abut.pod" -}}
serviceAccountName: {{ include "abut.name" .root }}-{{ .account }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  {{- include "abut.podSecurity" .root | nindent 2 }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- /* The pod of a run of a command: name, arguments, resources, size of /tmp. */ -}}
{{- define "abut.run" -}}
metadata:
  labels:
    {{- include "abut.labels" (dict "root" .root "component" .component) | nindent 4 }}
  annotations:
    {{- include "abut.annotations" .root | nindent 4 }}
spec:
  {{- include "abut.pod" (dict "root" .root "account" "jobs") | nindent 2 }}
  restartPolicy: Never
  terminationGracePeriodSeconds: 120
  {{- with .first }}
  initContainers:
    - name: {{ .name }}
      image: {{ include "abut.image" $.root }}
      imagePullPolicy: {{ $.root.Values.image.pullPolicy }}
      command: ["abut"]
      args: {{ toJson .arguments }}
      {{- include "abut.environment" $.root | nindent 6 }}
      resources: {{- toYaml $.resources | nindent 8 }}
      securityContext:
        {{- include "abut.security" $.root | nindent 8 }}
      volumeMounts:
        {{- include "abut.mounts" $.root | nindent 8 }}
  {{- end }}
  containers:
    - name: {{ .component }}
      image: {{ include "abut.image" .root }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: ["abut"]
      args: {{ toJson .arguments }}
      {{- include "abut.environment" .root | nindent 6 }}
      resources: {{- toYaml .resources | nindent 8 }}
      securityContext:
        {{- include "abut.security" .root | nindent 8 }}
      volumeMounts:
        {{- include "abut.mounts" .root | nindent 8 }}
        {{- if .claim }}
        - {name: safe, mountPath: /safe, readOnly: true}
        {{- end }}
  volumes:
    {{- include "abut.volumes" (dict "root" .root "size" .size) | nindent 4 }}
    {{- with .claim }}
    - name: safe
      persistentVolumeClaim: {claimName: {{ . }}, readOnly: true}
    {{- end }}
{{- end -}}

{{- /* Pods of some components of a release. */ -}}
{{- define "abut.is" -}}
matchLabels: {{- toYaml .release | nindent 2 }}
matchExpressions:
  - {key: app.kubernetes.io/component, operator: In, values: {{ toJson .components }}}
{{- end -}}

{{- /* A container of Dask. */ -}}
{{- define "abut.dask" -}}
- name: {{ .kind }}
  image: {{ include "abut.image" .root }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  command: ["dask"]
  args: {{ toJson .arguments }}
  {{- include "abut.environment" .root | nindent 2 }}
  {{- with .ports }}
  ports: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .probe }}
  readinessProbe: {{- toYaml . | nindent 4 }}
  livenessProbe: {{- toYaml . | nindent 4 }}
  {{- end }}
  resources: {{- toYaml .resources | nindent 4 }}
  securityContext:
    {{- include "abut.security" .root | nindent 4 }}
  volumeMounts:
    {{- include "abut.mounts" .root | nindent 4 }}
{{- end -}}
