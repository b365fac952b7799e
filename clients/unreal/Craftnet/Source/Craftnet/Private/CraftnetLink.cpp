#include "CraftnetLink.h"

#include "Async/Async.h"
#include "CraftnetConversions.h"
#include "CraftnetLog.h"
#include "CraftnetSession.h"
#include "CraftnetSettings.h"
#include "CraftnetSubsystem.h"
#include "HttpModule.h"
#include "IWebSocket.h"
#include "Interfaces/IHttpRequest.h"
#include "Interfaces/IHttpResponse.h"
#include "SocketSubsystem.h"
#include "WebSocketsModule.h"

using craftnet::WatchEvent;
using craftnet::WatchRequest;

namespace
{
	/** The URL without its path. */
	FString OriginOf(const FString& Url)
	{
		const int32 Scheme = Url.Find(TEXT("://"), ESearchCase::CaseSensitive);
		const int32 Path = Url.Find(TEXT("/"), ESearchCase::CaseSensitive, ESearchDir::FromStart, Scheme + 3);
		return Path == INDEX_NONE ? Url : Url.Left(Path);
	}
}

TSharedPtr<FCraftnetLink> FCraftnetLink::Create(UCraftnetSubsystem& Subsystem, UCraftnetSession& Session, const FGuid& PlayerId, const UCraftnetSettings& Settings)
{
	craftnet::WatchSettings Wanted;
	Wanted.session = CraftnetUuid(Session.GetSessionId());
	Wanted.player = CraftnetUuid(PlayerId);
	Wanted.udp = CRAFTNET_WITH_OPENSSL && Settings.bUseUdp;
	Wanted.smoothing = Settings.Smoothing;
	Wanted.timeout = static_cast<craftnet::Time>(Settings.Timeout) * craftnet::kSecond;
	return MakeShared<FCraftnetLink>(Subsystem, Session, Wanted, Settings.BaseUrl);
}

FCraftnetLink::FCraftnetLink(UCraftnetSubsystem& InSubsystem, UCraftnetSession& InSession, const craftnet::WatchSettings& Wanted, const FString& InBaseUrl)
	: Subsystem(&InSubsystem)
	, Session(&InSession)
	, BaseUrl(InBaseUrl)
	, Watch(CraftnetCrypto(), Lz4, Wanted, CraftnetNow())
{
	BaseUrl.RemoveFromEnd(TEXT("/"));
}

FCraftnetLink::~FCraftnetLink()
{
	Close();
}

void FCraftnetLink::Tick()
{
	if (bClosed)
	{
		return;
	}
	const craftnet::Time Now = CraftnetNow();
	const double Seconds = FPlatformTime::Seconds();
	Datagrams.Receive(Seconds, [this, Now](uint8* Datagram, int32 Size)
	{
		Watch.datagram(Datagram, static_cast<std::size_t>(Size), Now);
	});
	Watch.tick(Now);
	WatchRequest Request;
	while (Watch.next_request(Request))
	{
		Perform(Request);
	}
	uint8 Datagram[craftnet::UdpClient::kRoom];
	while (const std::size_t Size = Watch.transmit(Now, Datagram))
	{
		Datagrams.Send(Datagram, static_cast<int32>(Size), static_cast<int32>(Watch.server()), Seconds);
	}
	WatchEvent Event;
	while (Watch.poll(Event))
	{
		DeliverEvent(Event);
	}
}

void FCraftnetLink::Stop()
{
	Session.Reset();
	Watch.stop(CraftnetNow());
}

void FCraftnetLink::Close()
{
	bClosed = true;
	Session.Reset();
	CloseWebSocket();
	Datagrams.Close();
}

bool FCraftnetLink::IsDone() const
{
	return bClosed || (Watch.result() != craftnet::Watch::Result::kNone && Watch.deadline() == craftnet::kNever);
}

bool FCraftnetLink::GetShown(FCraftnetShown& Shown)
{
	craftnet::Bar::Shown Bar;
	if (!Watch.shown(CraftnetNow(), Bar))
	{
		return false;
	}
	Shown.Percent = static_cast<float>(Bar.percent);
	Shown.Error = static_cast<float>(Bar.error);
	return true;
}

FString FCraftnetLink::Describe()
{
	const bool bUdp = Watch.transport() == craftnet::Transport::kUdp;
	const double RoundTrip = Watch.udp() != nullptr ? Watch.udp()->timing().smoothed() : -1.0;
	FCraftnetShown Shown;
	GetShown(Shown);
	return FString::Printf(TEXT("over %s, round trip %.1f ms, %.2f%% +-%.2f"), bUdp ? TEXT("UDP") : TEXT("WebSocket"),
		RoundTrip * 1000.0, Shown.Percent, Shown.Error);
}

void FCraftnetLink::Perform(const WatchRequest& Request)
{
	switch (Request.kind)
	{
	case WatchRequest::Kind::kToken:
		RequestToken(Request.fresh);
		break;
	case WatchRequest::Kind::kConnect:
	case WatchRequest::Kind::kDictionary:
		RequestHttp(Request);
		break;
	case WatchRequest::Kind::kResolve:
		Resolve(CraftnetString(Request.target), Request.port);
		break;
	case WatchRequest::Kind::kCloseUdp:
		Datagrams.Close();
		break;
	case WatchRequest::Kind::kOpenWebSocket:
		OpenWebSocket(Request);
		break;
	case WatchRequest::Kind::kSendText:
		if (WebSocket.IsValid())
		{
			WebSocket->Send(CraftnetString(Request.body));
		}
		break;
	case WatchRequest::Kind::kCloseWebSocket:
		CloseWebSocket();
		break;
	}
}

void FCraftnetLink::RequestToken(bool bFresh)
{
	if (!Subsystem.IsValid() || !Subsystem->GetToken.IsBound())
	{
		UE_LOG(LogCraftnet, Error, TEXT("no token provider: bind UCraftnetSubsystem::GetToken, or call SetTokenProvider"));
		Watch.no_token(CraftnetNow());
		return;
	}
	TWeakPtr<FCraftnetLink> WeakLink = AsShared();
	Subsystem->GetToken.Execute(bFresh, [WeakLink](const FString& Token)
	{
		if (IsInGameThread())
		{
			TakeToken(WeakLink, Token);
			return;
		}
		AsyncTask(ENamedThreads::GameThread, [WeakLink, Token]()
		{
			TakeToken(WeakLink, Token);
		});
	});
}

void FCraftnetLink::TakeToken(const TWeakPtr<FCraftnetLink>& WeakLink, const FString& Token)
{
	const TSharedPtr<FCraftnetLink> Link = WeakLink.Pin();
	if (!Link.IsValid() || Link->bClosed)
	{
		return;
	}
	if (Token.IsEmpty())
	{
		Link->Watch.no_token(CraftnetNow());
	}
	else
	{
		Link->Watch.token(CraftnetText(Token), CraftnetNow());
	}
}

void FCraftnetLink::RequestHttp(const WatchRequest& Request)
{
	const bool bConnect = Request.kind == WatchRequest::Kind::kConnect;
	const FString Target = CraftnetString(Request.target);
	const TSharedRef<IHttpRequest, ESPMode::ThreadSafe> Http = FHttpModule::Get().CreateRequest();
	Http->SetVerb(bConnect ? TEXT("POST") : TEXT("GET"));
	Http->SetURL(BaseUrl + Target);
	if (bConnect)
	{
		Http->SetHeader(TEXT("Authorization"), TEXT("Bearer ") + CraftnetString(Watch.bearer()));
		Http->SetHeader(TEXT("Content-Type"), TEXT("application/json"));
		Http->SetContentAsString(CraftnetString(Request.body));
	}
	TWeakPtr<FCraftnetLink> WeakLink = AsShared();
	Http->OnProcessRequestComplete().BindLambda([WeakLink, bConnect, Target](FHttpRequestPtr, FHttpResponsePtr Response, bool bAnswered)
	{
		const TSharedPtr<FCraftnetLink> Link = WeakLink.Pin();
		if (!Link.IsValid() || Link->bClosed)
		{
			return;
		}
		const bool bThere = bAnswered && Response.IsValid();
		const int32 Status = bThere ? Response->GetResponseCode() : 0;
		if (bConnect)
		{
			const std::string Body = bThere ? CraftnetText(Response->GetContentAsString()) : std::string();
			const double RetryAfter = bThere ? FCString::Atod(*Response->GetHeader(TEXT("Retry-After"))) : 0.0;
			Link->Watch.connect_answered(Status, Body, RetryAfter, CraftnetNow());
		}
		else if (Status == 200)
		{
			const TSharedRef<TArray<uint8>> Dictionary = MakeShared<TArray<uint8>>(Response->GetContent());
			Link->Dictionaries.Add(Dictionary);
			FString Path;
			FString Id;
			Target.Split(TEXT("/"), &Path, &Id, ESearchCase::CaseSensitive, ESearchDir::FromEnd);
			const craftnet::Bytes Octets(Dictionary->GetData(), static_cast<std::size_t>(Dictionary->Num()));
			Link->Watch.dictionary(static_cast<std::uint8_t>(FCString::Atoi(*Id)), Octets);
		}
	});
	Http->ProcessRequest();
}

void FCraftnetLink::Resolve(const FString& Host, int32 Port)
{
	TWeakPtr<FCraftnetLink> WeakLink = AsShared();
	ISocketSubsystem* Sockets = ISocketSubsystem::Get(PLATFORM_SOCKETSUBSYSTEM);
	if (Sockets == nullptr)
	{
		Watch.resolved(0, CraftnetNow());
		return;
	}
	Sockets->GetAddressInfoAsync([WeakLink, Port](FAddressInfoResult Result)
	{
		AsyncTask(ENamedThreads::GameThread, [WeakLink, Port, Result]()
		{
			const TSharedPtr<FCraftnetLink> Link = WeakLink.Pin();
			if (!Link.IsValid() || Link->bClosed)
			{
				return;
			}
			TArray<TSharedRef<FInternetAddr>> Addresses;
			for (const FAddressInfoResultData& Found : Result.Results)
			{
				const bool bSameFamily = Addresses.Num() == 0 || Addresses[0]->GetProtocolType() == Found.Address->GetProtocolType();
				if (bSameFamily && Addresses.Num() < static_cast<int32>(craftnet::Handshake::kMaxServers))
				{
					Found.Address->SetPort(Port);
					Addresses.Add(Found.Address);
				}
			}
			const bool bOpen = Link->Datagrams.Open(Addresses);
			Link->Watch.resolved(bOpen ? static_cast<std::size_t>(Addresses.Num()) : 0, CraftnetNow());
		});
	}, *Host, nullptr, EAddressInfoFlags::Default, NAME_None, ESocketType::SOCKTYPE_Datagram);
}

void FCraftnetLink::OpenWebSocket(const WatchRequest& Request)
{
	CloseWebSocket();
	TArray<FString> Protocols;
	for (const std::string& Protocol : Request.protocols)
	{
		Protocols.Add(CraftnetString(Protocol));
	}
	Offered = Request.protocols.front();
	TMap<FString, FString> Headers;
	Headers.Add(TEXT("Authorization"), TEXT("Bearer ") + CraftnetString(Watch.bearer()));
	// With an Origin, the server refuses with a close code: IWebSocket does not return an HTTP status.
	Headers.Add(TEXT("Origin"), OriginOf(BaseUrl));
	const FString Url = TEXT("ws") + BaseUrl.RightChop(4) + CraftnetString(Request.target);  // http to ws, https to wss.
	WebSocket = FWebSocketsModule::Get().CreateWebSocket(Url, Protocols, Headers);
	TWeakPtr<FCraftnetLink> WeakLink = AsShared();
	const TWeakPtr<IWebSocket> WeakSocket = WebSocket;
	const auto Find = [WeakLink, WeakSocket]() -> TSharedPtr<FCraftnetLink>
	{
		const TSharedPtr<FCraftnetLink> Link = WeakLink.Pin();
		const bool bOurs = Link.IsValid() && Link->WebSocket.IsValid() && Link->WebSocket == WeakSocket.Pin();
		return bOurs ? Link : nullptr;
	};
	WebSocket->OnConnected().AddLambda([Find]()
	{
		if (const TSharedPtr<FCraftnetLink> Link = Find())
		{
			Link->Watch.websocket_opened(Link->Offered, CraftnetNow());
		}
	});
	WebSocket->OnConnectionError().AddLambda([Find](const FString& Error)
	{
		if (const TSharedPtr<FCraftnetLink> Link = Find())
		{
			UE_LOG(LogCraftnet, Log, TEXT("WebSocket: %s"), *Error);
			Link->Watch.websocket_refused(0, 0.0, CraftnetNow());
		}
	});
	WebSocket->OnClosed().AddLambda([Find](int32 Code, const FString& Reason, bool bClean)
	{
		if (const TSharedPtr<FCraftnetLink> Link = Find())
		{
			Link->Watch.websocket_closed(static_cast<std::uint16_t>(Code), CraftnetText(Reason), CraftnetNow());
		}
	});
	WebSocket->OnMessage().AddLambda([Find](const FString& Message)
	{
		if (const TSharedPtr<FCraftnetLink> Link = Find())
		{
			Link->Watch.websocket_text(CraftnetText(Message), CraftnetNow());
		}
	});
	WebSocket->OnBinaryMessage().AddLambda([Find](const void* Data, SIZE_T Size, bool bLast)
	{
		if (const TSharedPtr<FCraftnetLink> Link = Find())
		{
			Link->TakeFragment(Data, Size, bLast);
		}
	});
	WebSocket->Connect();
}

void FCraftnetLink::CloseWebSocket()
{
	const TSharedPtr<IWebSocket> Closing = MoveTemp(WebSocket);
	WebSocket.Reset();  // its further callbacks are ignored.
	Fragments.Reset();
	if (Closing.IsValid())
	{
		Closing->Close(1000);
	}
}

void FCraftnetLink::TakeFragment(const void* Data, SIZE_T Size, bool bLast)
{
	if (Fragments.Num() + Size > craftnet::FeedDecoder::kLongest)
	{
		CloseWebSocket();  // the rest of the message would pass for a whole one.
		Watch.websocket_closed(1006, "", CraftnetNow());
		return;
	}
	Fragments.Append(static_cast<const uint8*>(Data), static_cast<int32>(Size));
	if (!bLast)
	{
		return;
	}
	const TArray<uint8> Whole = MoveTemp(Fragments);
	Fragments.Reset();
	Watch.websocket_binary({Whole.GetData(), static_cast<std::size_t>(Whole.Num())}, CraftnetNow());
}

void FCraftnetLink::DeliverEvent(WatchEvent& Event)
{
	UCraftnetSession* Watched = Session.Get();
	if (Watched == nullptr)
	{
		return;
	}
	const ECraftnetTransport Over = Event.transport == craftnet::Transport::kUdp ? ECraftnetTransport::Udp : ECraftnetTransport::WebSocket;
	switch (Event.kind)
	{
	case WatchEvent::Kind::kConnecting:
		Watched->NotifyConnection(ECraftnetConnection::Connecting, Over);
		break;
	case WatchEvent::Kind::kConnected:
		Watched->NotifyConnection(ECraftnetConnection::Connected, Over);
		break;
	case WatchEvent::Kind::kLost:
		Watched->NotifyConnection(ECraftnetConnection::Lost, Over);
		break;
	case WatchEvent::Kind::kProgress:
		Watched->NotifyProgress(CraftnetProgress(Watch.progress(), Watch.failure_reason()));
		break;
	case WatchEvent::Kind::kMaterials:
		if (Watch.materials() != nullptr)
		{
			Watched->NotifyMaterials(CraftnetMaterials(*Watch.materials()));
		}
		break;
	case WatchEvent::Kind::kMessage:
		NotifyMessage(*Watched, Event.message);
		break;
	case WatchEvent::Kind::kPosition:
		Watched->Position = CraftnetPosition(Watch.position());
		break;
	case WatchEvent::Kind::kEnded:
		Watched->NotifyEnded(static_cast<ECraftnetResult>(Watch.result()), CraftnetString(Watch.failure_reason()));
		break;
	default:
		break;
	}
}

void FCraftnetLink::NotifyMessage(UCraftnetSession& Watched, const craftnet::FeedMessage& Message)
{
	if (Message.has_queue)
	{
		Watched.NotifyQueue(CraftnetQueueEntry(Message.queue));
	}
	TArray<FCraftnetMaterial> Materials = CraftnetMaterials(Message);
	if (Materials.Num() > 0 && Session.IsValid())  // the handler of the queue may have called Stop.
	{
		Watched.NotifyMaterials(Materials);
	}
}
