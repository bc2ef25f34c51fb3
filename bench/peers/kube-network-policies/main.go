// An adapter: kube-network-policies' own evaluator (../adapter says before what). Informers are filled by hand, pods are found by address
// with the project's own provider, and its engine is asked about one packet at a time.
//
//	go build -o peer . && dropcast fuzz --against 'bench/peers/kube-network-policies/peer'
//
// -live leaves terminated pods out of the world, so that what else differs can be found.
package main

import (
	"context"
	"flag"
	"net"
	"os"

	v1 "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"
	"sigs.k8s.io/kube-network-policies/pkg/api"
	"sigs.k8s.io/kube-network-policies/pkg/network"
	"sigs.k8s.io/kube-network-policies/pkg/networkpolicy"
	"sigs.k8s.io/kube-network-policies/pkg/podinfo"

	"dropcast.invalid/peers/adapter"
)

var live = flag.Bool("live", false, "leave terminated pods out of the world")

func main() {
	klog.SetOutput(os.Stderr)
	adapter.Main(load)
}

func load(world *adapter.World) (adapter.Judge, error) {
	factory := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	pods := factory.Core().V1().Pods()
	namespaces := factory.Core().V1().Namespaces()
	policies := factory.Networking().V1().NetworkPolicies()
	for _, pod := range world.Pods {
		if *live && adapter.IsOver(pod) {
			continue
		}
		_ = pods.Informer().GetIndexer().Add(pod)
	}
	for _, namespace := range world.Namespaces {
		_ = namespaces.Informer().GetIndexer().Add(namespace)
	}
	for _, policy := range world.Policies {
		_ = policies.Informer().GetIndexer().Add(policy)
	}
	evaluator := networkpolicy.NewStandardNetworkPolicy("", namespaces, pods, policies)
	provider := podinfo.NewInformerProvider(pods, namespaces, nil, nil)
	engine := networkpolicy.NewPolicyEngine(provider, []api.PolicyEvaluator{evaluator})
	return func(flow adapter.Flow) (string, error) { return judge(engine, flow) }, nil
}

func judge(engine *networkpolicy.PolicyEngine, flow adapter.Flow) (string, error) {
	// What a pod sends to itself never leaves it, and never comes to this dataplane.
	if flow.Src == flow.Dst {
		return adapter.Undecidable, nil
	}
	packet := &network.Packet{
		SrcIP:   net.ParseIP(flow.Src),
		DstIP:   net.ParseIP(flow.Dst),
		Proto:   v1.Protocol(flow.Protocol),
		SrcPort: 40000,
		DstPort: flow.Port,
		Family:  v1.IPv4Protocol,
	}
	if packet.SrcIP.To4() == nil {
		packet.Family = v1.IPv6Protocol
	}
	isAllowed, err := engine.EvaluatePacket(context.Background(), packet)
	if err != nil {
		return "", err
	}
	return adapter.VerdictOf(isAllowed), nil
}
