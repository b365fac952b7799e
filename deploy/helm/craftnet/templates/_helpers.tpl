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
{{ ternary "rediss" "redis" .Values.redis.tls }}:host={{ required "redis.host is required: the nodes share their state through Redis" .Values.redis.host }}:port={{ .Values.redis.port }}
{{- with .Values.redis.arguments }}:{{ . }}{{ end }}
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
      {{- if $values.existingSecret.keys }}
      volumeMounts:
        - name: keys
          mountPath: /etc/craftnet/keys
          readOnly: true
      {{- end }}
  {{- if $values.existingSecret.keys }}
  volumes:
    - name: keys
      secret:
        secretName: {{ $values.existingSecret.keys }}
        defaultMode: 0444
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
