{{- /* A duration such as 7d, 12h, 30m or 0s, in seconds. */ -}}
{{- define "abut.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) (regexFind "[smhd]$" .)) -}}
{{- end -}}

{{- /* The port of a URL. */ -}}
{{- define "abut.port" -}}
{{- $url := urlParse . -}}
{{- $port := regexFind ":[0-9]+$" $url.host | trimPrefix ":" -}}
{{- $port | default (get (dict "http" "80" "https" "443" "postgres" "5432" "postgresql" "5432" "tcp" "8786" "tls" "8786") $url.scheme) -}}
{{- end -}}

{{- /* Refuses addresses that no network policy of this chart leads to: pods would wait for them in vain. */ -}}
{{- define "abut.unreachable" -}}
{{- $root := . -}}
{{- $policy := .Values.networkPolicy -}}
{{- if $policy.enabled -}}
{{- $open := list -}}
{{- range $policy.outsidePorts }}{{ $open = append $open (toString (int .)) }}{{ end -}}
{{- $outside := dict "archive.s3.endpoint" .Values.archive.s3.endpoint "otlpEndpoint" .Values.otlpEndpoint "settings.ABUT_OIDC_ISSUER" .Values.settings.ABUT_OIDC_ISSUER -}}
{{- range $key, $url := $outside -}}
{{- if and $url $policy.outsideTo (not (has (include "abut.port" $url) $open)) }}{{ fail (printf "%s %s: networkPolicy.outsidePorts lacks its port, %s" $key $url (include "abut.port" $url)) }}{{ end -}}
{{- end -}}
{{- range $key, $url := dict "catalogue.url" .Values.catalogue.url "jobs.url" .Values.jobs.url -}}
{{- if and (hasPrefix "postgres" $url) $policy.databaseTo (ne (include "abut.port" $url) (toString (int $policy.databasePort))) }}{{ fail (printf "%s %s: networkPolicy.databasePort is another one, %d" $key $url (int $policy.databasePort)) }}{{ end -}}
{{- end -}}
{{- if and (eq .Values.dask.mode "address") .Values.dask.address -}}
{{- if not $policy.daskTo }}{{ fail (printf "dask.address %s: networkPolicy.daskTo has to say where that is" .Values.dask.address) }}{{ end -}}
{{- if ne (include "abut.port" .Values.dask.address) (toString (int $policy.daskPort)) }}{{ fail (printf "dask.address %s: networkPolicy.daskPort is another one, %d" .Values.dask.address (int $policy.daskPort)) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Combinations that can't work; each message names the values. */ -}}
{{- define "abut.refusals" -}}
{{- $root := . -}}
{{- $folder := include "abut.isFolder" . -}}
{{- $shared := eq .Values.archive.folder.accessMode "ReadWriteMany" -}}
{{- $sqlite := include "abut.isSqlite" . -}}
{{- $jobFile := include "abut.jobsAreFiles" . -}}
{{- $parts := splitList " " (include "abut.parts" .) | compact -}}
{{- $secret := or .Values.secrets .Values.extraEnvFrom .Values.extraEnv -}}
{{- $longest := max (int .Values.ingest.deadlineSeconds) (int .Values.maintenance.deadlineSeconds) (int (.Values.settings.ABUT_LEGACY_SECONDS | default 600)) -}}
{{- $shutdown := 0 -}}

{{- if and .Values.ingress.enabled .Values.gateway.enabled }}{{ fail "ingress.enabled and gateway.enabled: one address needs one of them" }}{{ end -}}
{{- if and .Values.gateway.enabled (not .Values.gateway.name) }}{{ fail "gateway.enabled needs gateway.name: the Gateway that the route belongs to" }}{{ end -}}
{{- if and .Values.gateway.enabled (not (.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1")) }}{{ fail "gateway.enabled: this cluster has no gateway.networking.k8s.io/v1 (helm template: --api-versions)" }}{{ end -}}
{{- if and .Values.ingress.tlsSecret (not .Values.ingress.host) }}{{ fail "ingress.tlsSecret needs ingress.host: which name is the certificate for?" }}{{ end -}}

{{- if and .Values.postgresql.enabled .Values.catalogue.url }}{{ fail "postgresql.enabled and catalogue.url: an archive has one catalogue" }}{{ end -}}
{{- if and .Values.postgresql.enabled (not .Values.postgresql.existingSecret) }}{{ fail "postgresql.enabled needs postgresql.existingSecret with PGUSER and PGPASSWORD" }}{{ end -}}
{{- if and (not $folder) $sqlite }}{{ fail (printf "archive.url %s needs catalogue.url or postgresql.enabled: pods share no SQLite file" .Values.archive.url) }}{{ end -}}
{{- if and $folder (ne (include "abut.archive" .) "/data") (not (hasPrefix "/data/" (include "abut.archive" .))) }}{{ fail (printf "archive.url %s is outside of /data, where the volume is" .Values.archive.url) }}{{ end -}}
{{- if and $folder $shared $sqlite }}{{ fail "archive.folder.accessMode ReadWriteMany with a SQLite catalogue: SQLite can't be on a file system that nodes share; set catalogue.url or postgresql.enabled" }}{{ end -}}
{{- if and $folder $shared $jobFile (has "cubes" $parts) }}{{ fail "archive.folder.accessMode ReadWriteMany with a file of jobs: SQLite can't be on a file system that nodes share; set jobs.url to postgresql://..." }}{{ end -}}
{{- if and (not $folder) $jobFile (has "cubes" $parts) }}{{ fail "parts.cubes needs jobs.url postgresql://...: a file of jobs would be lost with its pod" }}{{ end -}}
{{- if and .Values.settings.ABUT_PRESIGN_SECONDS $folder }}{{ fail "settings.ABUT_PRESIGN_SECONDS needs archive.url s3://...: a folder has no URLs to sign" }}{{ end -}}

{{- if and (not $parts) (or .Values.ingress.enabled .Values.gateway.enabled) }}{{ fail "ingress.enabled or gateway.enabled without any part: nothing would answer" }}{{ end -}}
{{- if and $parts (hasPrefix "http" .Values.catalogue.url) }}{{ fail (printf "catalogue.url %s is a STAC API: parts need the database behind it; name that, or disable all parts" .Values.catalogue.url) }}{{ end -}}
{{- include "abut.unreachable" . -}}

{{- range $part := $parts -}}
{{- $values := include "abut.part" (dict "root" $root "part" $part) | fromJson -}}
{{- $shutdown = max $shutdown (int $values.shutdownSeconds) -}}
{{- $most := include "abut.most" $values | int -}}
{{- if and $values.autoscaling.enabled (gt (int $values.autoscaling.minReplicas) (int $values.autoscaling.maxReplicas)) }}{{ fail (printf "parts.%s.autoscaling: minReplicas %v is above maxReplicas %v" $part $values.autoscaling.minReplicas $values.autoscaling.maxReplicas) }}{{ end -}}
{{- if and $values.autoscaling.enabled (not (dig "requests" "cpu" "" $values.resources)) }}{{ fail (printf "parts.%s.autoscaling needs parts.%s.resources.requests.cpu: what is its percentage of?" $part $part) }}{{ end -}}
{{- if and (gt $most 1) $sqlite }}{{ fail (printf "parts.%s: %d pods can't share a SQLite catalogue; set catalogue.url or postgresql.enabled" $part $most) }}{{ end -}}
{{- if and (gt $most 1) $jobFile (eq $part "cubes") }}{{ fail (printf "parts.cubes: %d pods can't share a file of jobs; set jobs.url to postgresql://..." $most) }}{{ end -}}
{{- if and (gt $most 1) $folder (not $shared) }}{{ fail (printf "parts.%s: %d pods need archive.folder.accessMode ReadWriteMany, or an archive on S3" $part $most) }}{{ end -}}
{{- $seconds := get (dict "cubes" "ABUT_CUBE_SECONDS" "tiles" "ABUT_TILE_SECONDS" "legacy" "ABUT_LEGACY_SECONDS") $part -}}
{{- if $seconds -}}
{{- $request := get $root.Values.settings $seconds | default (get (dict "cubes" 120 "tiles" 30 "legacy" 600) $part) | int -}}
{{- if lt (int $values.shutdownSeconds) $request }}{{ fail (printf "parts.%s.shutdownSeconds %v is shorter than the longest request, settings.%s %d" $part $values.shutdownSeconds $seconds $request) }}{{ end -}}
{{- end -}}
{{- $least := ternary $values.autoscaling.minReplicas $values.replicas $values.autoscaling.enabled | int -}}
{{- if $values.disruption.enabled -}}
{{- if and $values.disruption.minAvailable (ge (int $values.disruption.minAvailable) $least) }}{{ fail (printf "parts.%s.disruption.minAvailable %v of %d pods: no node could be drained" $part $values.disruption.minAvailable $least) }}{{ end -}}
{{- if and (not $values.disruption.minAvailable) (lt (int $values.disruption.maxUnavailable) 1) }}{{ fail (printf "parts.%s.disruption.maxUnavailable 0: no node could be drained" $part) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if and (has "stac" $parts) (not (include "abut.publicUrl" .)) (not .Values.settings.ABUT_PRODUCTS_URL) }}{{ fail "publicUrl is needed (or the host of ingress or gateway): the part stac has to say where objects are" }}{{ end -}}

{{- if and .Values.dask.address (ne .Values.dask.mode "address") }}{{ fail (printf "dask.address and dask.mode %s: there is one scheduler; set dask.mode to address" .Values.dask.mode) }}{{ end -}}
{{- if and (eq .Values.dask.mode "address") (not .Values.dask.address) }}{{ fail "dask.mode address needs dask.address" }}{{ end -}}
{{- if eq .Values.dask.mode "operator" -}}
{{- if not (.Capabilities.APIVersions.Has "kubernetes.dask.org/v1") }}{{ fail "dask.mode operator: this cluster has no kubernetes.dask.org/v1 (helm template: --api-versions)" }}{{ end -}}
{{- if gt (int .Values.dask.workers) (int .Values.dask.maxWorkers) }}{{ fail (printf "dask.workers %v is above dask.maxWorkers %v" .Values.dask.workers .Values.dask.maxWorkers) }}{{ end -}}
{{- end -}}
{{- if and $folder (not $shared) (has .Values.dask.mode (list "deployment" "operator")) (gt (int .Values.dask.workers) 1) }}{{ fail (printf "dask.workers: %v pods need archive.folder.accessMode ReadWriteMany, or an archive on S3; or dask.mode none" .Values.dask.workers) }}{{ end -}}

{{- $oidc := .Values.settings.ABUT_OIDC_ISSUER -}}
{{- if and (eq (toString .Values.settings.ABUT_TRANSACTIONS) "true") (not $secret) (not $oidc) }}{{ fail "settings.ABUT_TRANSACTIONS needs a Secret with ABUT_WRITE_TOKENS or ABUT_REGISTER_TOKENS in secrets, or settings.ABUT_OIDC_ISSUER: who may write?" }}{{ end -}}
{{- if and (eq (toString .Values.settings.ABUT_READ) "token") (not $secret) (not $oidc) }}{{ fail "settings.ABUT_READ token needs a Secret with ABUT_READ_TOKENS in secrets, or settings.ABUT_OIDC_ISSUER: who may read?" }}{{ end -}}
{{- range .Values.extraEnv -}}
{{- if and .value (regexMatch "(?i)(password|secret|token|credential|_key)" .name) (not (regexMatch "(?i)_(url|seconds|file)$" .name)) }}{{ fail (printf "extraEnv %s has a value: what is secret comes from a Secret, by valueFrom or secrets" .name) }}{{ end -}}
{{- end -}}
{{- range $what := list "job" "cron" -}}
{{- $run := index $root.Values.ingest $what -}}
{{- if and $run.enabled (not $run.arguments) }}{{ fail (printf "ingest.%s.enabled needs ingest.%s.arguments: what is to be ingested?" $what $what) }}{{ end -}}
{{- end -}}
{{- $grace := include "abut.seconds" .Values.maintenance.purge.grace | int -}}
{{- if and .Values.maintenance.purge.enabled (lt $grace (add $longest $shutdown | int)) }}{{ fail (printf "maintenance.purge.grace %s is shorter than the longest job and a shutdown (%d s): a reader with an old plan would lose its blocks" .Values.maintenance.purge.grace (add $longest $shutdown)) }}{{ end -}}
{{- if and (or .Values.monitoring.serviceMonitor .Values.monitoring.rules) (not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}{{ fail "monitoring: this cluster has no monitoring.coreos.com/v1 (helm template: --api-versions)" }}{{ end -}}
{{- end -}}
