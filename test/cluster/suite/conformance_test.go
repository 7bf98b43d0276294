// The door to the conformance suite: what its own conformance_test.go is.
// SPDX-License-Identifier: Apache-2.0
package suite

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
