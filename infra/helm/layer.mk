# The Lambda layer with helm: `sam build` calls the target build-<layer> of the folder that the template's Architecture names, and
# says nothing of the architecture itself. Needs Go 1.26. The same sources give the same bytes, and so no new layer version.
HELM := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
VERSION := $(shell awk '$$1 == "helm.sh/helm/v4" { print $$2 }' $(HELM)/go.mod)

.PHONY: build-HelmLayer
build-HelmLayer:
	command -v go >/dev/null || { echo "Go is not installed, and helm is built with it: install Go 1.26 or newer (https://go.dev/dl)" >&2; exit 1; }
	mkdir -p "$(ARTIFACTS_DIR)/bin"
	cd "$(HELM)" && GOFLAGS=-mod=readonly GOWORK=off CGO_ENABLED=0 GOOS=linux GOARCH=$(GOARCH) go build -trimpath \
	  -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=$(VERSION)" -o "$(ARTIFACTS_DIR)/bin/helm" helm.sh/helm/v4/cmd/helm
