// An adapter: netpol-analyzer's policy engine (../adapter says before what). It names pods where dropcast has addresses: those of live pods
// are looked up here, others are given as they are.
//
//	go build -o peer . && dropcast fuzz --against 'bench/peers/netpol-analyzer/peer'
//
// -ipv4 refuses IPv6, which the engine has no notion of, and -numbered rules with a protocol and no port, which it takes for any
// protocol (docs/peers.md), so that what else differs can be found.
package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"

	"github.com/np-guard/netpol-analyzer/pkg/netpol/eval"

	"dropcast.invalid/peers/adapter"
)

var (
	ipv4     = flag.Bool("ipv4", false, "refuse flows between IPv6 addresses")
	numbered = flag.Bool("numbered", false, "refuse worlds in which a rule names a protocol and no port")
)

func main() { adapter.Main(load) }

func load(world *adapter.World) (adapter.Judge, error) {
	engine := eval.NewPolicyEngine()
	names := map[string]string{}
	hosts := map[string]string{}
	for _, node := range world.Nodes {
		if len(node.Status.Addresses) > 0 {
			hosts[node.Name] = node.Status.Addresses[0].Address
		}
	}
	for _, namespace := range world.Namespaces {
		if err := engine.InsertObject(namespace); err != nil {
			return nil, err
		}
	}
	for _, pod := range world.Pods {
		// What can be no end of a flow by its own address.
		if adapter.IsOver(pod) || pod.Spec.HostNetwork || len(pod.Status.PodIPs) == 0 {
			continue
		}
		// The engine wants the address of the node, which only its own-node rule asks for.
		pod.Status.HostIP = hosts[pod.Spec.NodeName]
		if pod.Status.HostIP == "" {
			pod.Status.HostIP = "192.0.2.1"
		}
		for _, ip := range pod.Status.PodIPs {
			names[ip.IP] = pod.Namespace + "/" + pod.Name
		}
		if err := engine.InsertObject(pod); err != nil {
			return nil, err
		}
	}
	for _, policy := range world.Policies {
		if *numbered && hasPortless(policy) {
			return nil, fmt.Errorf("a rule names a protocol and no port")
		}
		if err := engine.InsertObject(policy); err != nil {
			return nil, err
		}
	}
	return func(flow adapter.Flow) (string, error) { return judge(engine, names, flow) }, nil
}

func hasPortless(policy *networkingv1.NetworkPolicy) bool {
	var ports []networkingv1.NetworkPolicyPort
	for _, rule := range policy.Spec.Ingress {
		ports = append(ports, rule.Ports...)
	}
	for _, rule := range policy.Spec.Egress {
		ports = append(ports, rule.Ports...)
	}
	for _, port := range ports {
		if port.Port == nil {
			return true
		}
	}
	return false
}

func judge(engine *eval.PolicyEngine, names map[string]string, flow adapter.Flow) (verdict string, err error) {
	if *ipv4 && strings.Contains(flow.Src, ":") {
		return adapter.Undecidable, nil
	}
	// Two addresses from outside are no question that it has an answer to.
	src, isSrcPod := names[flow.Src]
	dst, isDstPod := names[flow.Dst]
	if !isSrcPod && !isDstPod {
		return adapter.Undecidable, nil
	}
	if !isSrcPod {
		src = flow.Src
	}
	if !isDstPod {
		dst = flow.Dst
	}
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v", cause)
		}
	}()
	isAllowed, err := engine.CheckIfAllowed(src, dst, flow.Protocol, strconv.Itoa(flow.Port))
	if err != nil {
		return "", err
	}
	return adapter.VerdictOf(isAllowed), nil
}
