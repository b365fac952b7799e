{{- define "craftnet.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name }}{{ else }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}
{{- end }}

{{- define "craftnet.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "craftnet.labels" -}}
{{ include "craftnet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "craftnet.backend" -}}
{{- if .Values.edge.core }}
{{- if .Values.redis.host }}{{ fail "edge.core and redis.host exclude each other: an edge has the state of its core" }}{{ end }}
{{- $_ := required "edge.existingSecret is required: a Secret with a token of the core that has the scope crafting:relay" .Values.edge.existingSecret -}}
upstream:url={{ .Values.edge.core }}:token_file=/etc/craftnet/edge/{{ .Values.edge.tokenKey }}
{{- with .Values.edge.arguments }}:{{ . }}{{ end }}
{{- else -}}
{{ ternary "rediss" "redis" .Values.redis.tls }}:host={{ required "redis.host is required: the nodes share their state through Redis; or set edge.core" .Values.redis.host }}:port={{ .Values.redis.port }}
{{- with .Values.redis.arguments }}:{{ . }}{{ end }}
{{- end }}
{{- end }}

{{/* The environment variable of the message bus's password. */}}
{{- define "craftnet.busPassword" -}}
{{ if hasPrefix "nats:" .Values.ingest.bus }}CRAFTNET_NATS_PASSWORD{{ else }}CRAFTNET_KAFKA_PASSWORD{{ end }}
{{- end }}

{{/* The pod of a node. Arguments: root, component, resources, arguments (of this component). */}}
{{- define "craftnet.pod" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
metadata:
  labels:
    {{- include "craftnet.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
  {{- with $values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "craftnet.name" $root }}
  automountServiceAccountToken: false
  # preStop, then draining, then a reserve.
  terminationGracePeriodSeconds: {{ add $values.preStopSeconds $values.drainTime 15 }}
  {{- with $values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 1000
    runAsGroup: 1000
    seccompProfile:
      type: RuntimeDefault
  topologySpreadConstraints:
    {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ . }}
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "craftnet.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $.component }}
    {{- end }}
  containers:
    - name: craftnet
      image: {{ printf "%s:%s" $values.image.repository ($values.image.tag | default $root.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ $values.image.pullPolicy }}
      args:
        - --http=tcp:8080
        - --metrics=tcp:9090
        - --backend={{ include "craftnet.backend" $root }}
        - --auth={{ required "auth is required, such as jwt:jwks=https://login.example/keys.json" $values.auth }}
        - --drain-time={{ $values.drainTime }}
        {{- with $values.region.name }}
        - --region={{ . }}
        {{- end }}
        {{- with $values.ingest.bus }}
        {{- if $values.edge.core }}{{ fail "ingest.bus needs Redis: the core of an edge reads the message bus" }}{{ end }}
        - --ingest={{ . }}
        {{- end }}
        {{- range concat .arguments $values.options }}
        - {{ . | quote }}
        {{- end }}
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- if $values.redis.existingSecret }}
        - name: CRAFTNET_REDIS_PASSWORD
          valueFrom:
            secretKeyRef:
              name: {{ $values.redis.existingSecret }}
              key: {{ $values.redis.passwordKey }}
        {{- end }}
        {{- if $values.ingest.existingSecret }}
        - name: {{ include "craftnet.busPassword" $root }}
          valueFrom:
            secretKeyRef:
              name: {{ $values.ingest.existingSecret }}
              key: {{ $values.ingest.passwordKey }}
        {{- end }}
        {{- if and $values.region.name (not $values.edge.core) }}
        - name: CRAFTNET_CLUSTER_KEY
          valueFrom:
            secretKeyRef:
              name: {{ required "region.existingSecret is required: a Secret with the cluster key" $values.region.existingSecret }}
              key: {{ $values.region.clusterKeyKey }}
        {{- end }}
      ports:
        - name: http
          containerPort: 8080
        - name: metrics
          containerPort: 9090
        {{- if eq .component "udp" }}
        - name: udp
          containerPort: {{ $values.udp.port }}
          protocol: UDP
        {{- end }}
      startupProbe:
        httpGet: {path: /health/live, port: http}
        periodSeconds: 1
        failureThreshold: 60
      # Never /health or /ready: a restart mends no Redis, and costs every connection.
      livenessProbe:
        httpGet: {path: /health/live, port: http}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /ready, port: http}
        periodSeconds: 2
        timeoutSeconds: 2
      lifecycle:
        preStop:
          exec:
            command: [sleep, {{ $values.preStopSeconds | quote }}]
      resources:
        {{- toYaml .resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      {{- if or $values.existingSecret.keys $values.edge.core }}
      volumeMounts:
        {{- if $values.existingSecret.keys }}
        - name: keys
          mountPath: /etc/craftnet/keys
          readOnly: true
        {{- end }}
        {{- if $values.edge.core }}
        - name: edge
          mountPath: /etc/craftnet/edge
          readOnly: true
        {{- end }}
      {{- end }}
  {{- if or $values.existingSecret.keys $values.edge.core }}
  volumes:
    {{- if $values.existingSecret.keys }}
    - name: keys
      secret:
        secretName: {{ $values.existingSecret.keys }}
        defaultMode: 0444
    {{- end }}
    {{- if $values.edge.core }}
    - name: edge
      secret:
        secretName: {{ $values.edge.existingSecret }}
        defaultMode: 0444
    {{- end }}
  {{- end }}
  {{- with $values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
