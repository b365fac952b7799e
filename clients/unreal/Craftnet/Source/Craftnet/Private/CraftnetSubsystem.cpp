#include "CraftnetSubsystem.h"

#include "CraftnetLink.h"
#include "CraftnetLog.h"
#include "CraftnetSettings.h"

DECLARE_CYCLE_STAT(TEXT("Craftnet tick"), STAT_CraftnetTick, STATGROUP_Craftnet);

void UCraftnetSubsystem::Initialize(FSubsystemCollectionBase& Collection)
{
	Super::Initialize(Collection);
}

void UCraftnetSubsystem::Deinitialize()
{
	FTSTicker::GetCoreTicker().RemoveTicker(Ticker);
	Ticker.Reset();
	for (const TWeakObjectPtr<UCraftnetSession>& Session : Sessions)
	{
		if (Session.IsValid())
		{
			Session->Stop();
		}
	}
	for (const TSharedPtr<FCraftnetLink>& Link : Links)
	{
		Link->Tick();  // sends the CLOSE of a UDP connection.
		Link->Close();
	}
	Sessions.Reset();
	Links.Reset();
	Super::Deinitialize();
}

void UCraftnetSubsystem::SetTokenProvider(FCraftnetGetTokenDynamic Provider)
{
	DynamicProvider = Provider;
	TWeakObjectPtr<UCraftnetSubsystem> WeakThis(this);
	GetToken.BindLambda([WeakThis](bool bFresh, FCraftnetTokenResult Result)
	{
		const bool bBound = WeakThis.IsValid() && WeakThis->DynamicProvider.IsBound();
		Result(bBound ? WeakThis->DynamicProvider.Execute(bFresh) : FString());
	});
}

UCraftnetSession* UCraftnetSubsystem::WatchSession(FGuid SessionId, FGuid PlayerId)
{
	UCraftnetSession* Session = NewObject<UCraftnetSession>(this);
	Session->SessionId = SessionId;
	Session->Link = FCraftnetLink::Create(*this, *Session, PlayerId, *GetDefault<UCraftnetSettings>());
	Session->Link->Simulate(SimulatedLoss, SimulatedDelay);
	Sessions.Add(Session);
	Links.Add(Session->Link);
	if (!Ticker.IsValid())
	{
		TWeakObjectPtr<UCraftnetSubsystem> WeakThis(this);
		Ticker = FTSTicker::GetCoreTicker().AddTicker(FTickerDelegate::CreateLambda([WeakThis](float DeltaSeconds)
		{
			return WeakThis.IsValid() && WeakThis->Tick(DeltaSeconds);
		}));
	}
	return Session;
}

bool UCraftnetSubsystem::Tick(float DeltaSeconds)
{
	SCOPE_CYCLE_COUNTER(STAT_CraftnetTick);
	const TArray<TSharedPtr<FCraftnetLink>> Now = Links;  // an event may start or stop a watch.
	for (const TSharedPtr<FCraftnetLink>& Link : Now)
	{
		Link->Tick();
	}
	Links.RemoveAll([](const TSharedPtr<FCraftnetLink>& Link) { return Link->IsDone(); });
	Sessions.RemoveAll([](const TWeakObjectPtr<UCraftnetSession>& Session) { return !Session.IsValid(); });
	if (Links.Num() > 0)
	{
		return true;
	}
	Ticker.Reset();  // no tick until another session is watched.
	return false;
}

FString UCraftnetSubsystem::GetStatus() const
{
	FString Status;
	for (const TSharedPtr<FCraftnetLink>& Link : Links)
	{
		Status += Link->Describe() + TEXT("\n");
	}
	return Status.IsEmpty() ? FString(TEXT("no session is watched")) : Status;
}

void UCraftnetSubsystem::Simulate(float Loss, float Delay)
{
	SimulatedLoss = Loss;
	SimulatedDelay = Delay;
	for (const TSharedPtr<FCraftnetLink>& Link : Links)
	{
		Link->Simulate(Loss, Delay);
	}
}
