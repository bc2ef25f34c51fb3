// An adapter: the matcher of Cyclonus, which policy-assistant took over (../adapter says before what). It compares labels target by target;
// pods are looked up by address here, and named ports by their pod.
//
//	go build -o peer . && dropcast fuzz --against 'bench/peers/cyclonus/peer'
//
// -plain refuses worlds with the operator NotIn or an empty label value, which it reads in its own way (docs/peers.md), so that what else
// differs can be found.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"

	"github.com/mattfenwick/cyclonus/pkg/matcher"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"dropcast.invalid/peers/adapter"
)

var plain = flag.Bool("plain", false, "refuse worlds in which a selector has the operator NotIn or an empty value")

func main() { adapter.Main(load) }

type end struct {
	peer *matcher.InternalPeer
	pod  *v1.Pod
}

func load(world *adapter.World) (judge adapter.Judge, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	for _, policy := range world.Policies {
		if *plain && !isPlain(policy) {
			return nil, fmt.Errorf("a selector has the operator NotIn or an empty value")
		}
	}
	namespaces := map[string]map[string]string{}
	for _, namespace := range world.Namespaces {
		namespaces[namespace.Name] = namespace.Labels
	}
	ends := map[string]end{}
	for _, pod := range world.Pods {
		if adapter.IsOver(pod) || pod.Spec.HostNetwork {
			continue
		}
		peer := &matcher.InternalPeer{
			PodLabels:       pod.Labels,
			NamespaceLabels: namespaces[pod.Namespace],
			Namespace:       pod.Namespace,
		}
		for _, ip := range pod.Status.PodIPs {
			ends[ip.IP] = end{peer, pod}
		}
	}
	policy := matcher.BuildNetworkPolicies(true, world.Policies)
	return func(flow adapter.Flow) (verdict string, err error) {
		// What a pod sends to itself, it has no rule for.
		if flow.Src == flow.Dst {
			return adapter.Undecidable, nil
		}
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("panic: %v", cause)
			}
		}()
		source, destination := ends[flow.Src], ends[flow.Dst]
		traffic := &matcher.Traffic{
			Source:           &matcher.TrafficPeer{Internal: source.peer, IP: flow.Src},
			Destination:      &matcher.TrafficPeer{Internal: destination.peer, IP: flow.Dst},
			ResolvedPort:     flow.Port,
			ResolvedPortName: portName(destination.pod, flow),
			Protocol:         v1.Protocol(flow.Protocol),
		}
		return adapter.VerdictOf(policy.IsTrafficAllowed(traffic).IsAllowed()), nil
	}, nil
}

func isPlain(policy *networkingv1.NetworkPolicy) bool {
	text, err := json.Marshal(policy.Spec)
	return err == nil && !strings.Contains(string(text), `"NotIn"`) && !strings.Contains(string(text), `""`)
}

// A pod's own name for a port, which the matcher is to be told.
func portName(pod *v1.Pod, flow adapter.Flow) string {
	if pod == nil {
		return ""
	}
	for _, container := range pod.Spec.Containers {
		for _, port := range container.Ports {
			if int(port.ContainerPort) == flow.Port && string(port.Protocol) == flow.Protocol {
				return port.Name
			}
		}
	}
	return ""
}
