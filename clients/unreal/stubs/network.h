// Sockets, HTTP, WebSockets, JSON, LZ4 and automation tests, as far as the plugin uses them. See engine.h.
#pragma once

#include "uobject.h"

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Sockets
class FInternetAddr
{
public:
	virtual ~FInternetAddr() = default;
	virtual void SetPort(int32 Port) = 0;
	virtual FName GetProtocolType() const = 0;
};
inline bool operator==(const FName&, const FName&) { return true; }
class FSocket
{
public:
	virtual ~FSocket() = default;
	virtual bool Close() = 0;
	virtual bool HasPendingData(uint32& Size) = 0;
	virtual bool Recv(uint8* Data, int32 Room, int32& Read) = 0;
	virtual bool SendTo(const uint8* Data, int32 Count, int32& Sent, const FInternetAddr& Destination) = 0;
	virtual bool SetNonBlocking(bool bNonBlocking = true) = 0;
};
enum class EAddressInfoFlags { Default };
enum class ESocketType { SOCKTYPE_Unknown, SOCKTYPE_Datagram };
struct FAddressInfoResultData
{
	TSharedRef<FInternetAddr> Address;
};
struct FAddressInfoResult
{
	TArray<FAddressInfoResultData> Results;
};
using FAsyncGetAddressInfoCallback = TFunction<void(FAddressInfoResult)>;
#define PLATFORM_SOCKETSUBSYSTEM FName()
class ISocketSubsystem
{
public:
	static ISocketSubsystem* Get(const FName& Name);
	virtual FSocket* CreateSocket(const FName& Type, const FString& Description, const FName& Protocol) = 0;
	virtual void DestroySocket(FSocket* Socket) = 0;
	virtual void GetAddressInfoAsync(FAsyncGetAddressInfoCallback Callback, const TCHAR* Host, const TCHAR* Service = nullptr,
		EAddressInfoFlags Flags = EAddressInfoFlags::Default, const FName Protocol = NAME_None, ESocketType Type = ESocketType::SOCKTYPE_Unknown) = 0;
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/HTTP
class IHttpResponse
{
public:
	virtual int32 GetResponseCode() const = 0;
	virtual FString GetContentAsString() const = 0;
	virtual const TArray<uint8>& GetContent() const = 0;
	virtual FString GetHeader(const FString& Name) const = 0;
};
class IHttpRequest;
using FHttpRequestPtr = TSharedPtr<IHttpRequest, ESPMode::ThreadSafe>;
using FHttpResponsePtr = TSharedPtr<IHttpResponse, ESPMode::ThreadSafe>;
using FHttpRequestCompleteDelegate = TStubDelegate<void, FHttpRequestPtr, FHttpResponsePtr, bool>;
class IHttpRequest
{
public:
	virtual void SetVerb(const FString& Verb) = 0;
	virtual void SetURL(const FString& Url) = 0;
	virtual void SetHeader(const FString& Name, const FString& Value) = 0;
	virtual void SetContentAsString(const FString& Content) = 0;
	virtual FHttpRequestCompleteDelegate& OnProcessRequestComplete() = 0;
	virtual bool ProcessRequest() = 0;
};
class FHttpModule
{
public:
	static FHttpModule& Get();
	TSharedRef<IHttpRequest, ESPMode::ThreadSafe> CreateRequest();
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/WebSockets/IWebSocket
class IWebSocket
{
public:
	virtual ~IWebSocket() = default;
	virtual void Connect() = 0;
	virtual void Close(int32 Code = 1000, const FString& Reason = FString()) = 0;
	virtual void Send(const FString& Data) = 0;
	virtual TStubMulticast<>& OnConnected() = 0;
	virtual TStubMulticast<const FString&>& OnConnectionError() = 0;
	virtual TStubMulticast<int32, const FString&, bool>& OnClosed() = 0;
	virtual TStubMulticast<const FString&>& OnMessage() = 0;
	virtual TStubMulticast<const void*, SIZE_T, bool>& OnBinaryMessage() = 0;
};
class FWebSocketsModule
{
public:
	static FWebSocketsModule& Get();
	TSharedRef<IWebSocket> CreateWebSocket(const FString& Url, const TArray<FString>& Protocols, const TMap<FString, FString>& Headers);
};

// lz4.h, https://github.com/lz4/lz4/blob/dev/lib/lz4.h; the engine has it as Compression/lz4.h.
int LZ4_decompress_safe(const char* Source, char* Destination, int Size, int Room);
int LZ4_decompress_safe_usingDict(const char* Source, char* Destination, int Size, int Room, const char* Dictionary, int DictionarySize);

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Json
class FJsonObject;
class FJsonValue
{
public:
	const TSharedPtr<FJsonObject>& AsObject() const;
};
class FJsonObject
{
public:
	const TArray<TSharedPtr<FJsonValue>>& GetArrayField(const FString& Name) const;
	FString GetStringField(const FString& Name) const;
	double GetNumberField(const FString& Name) const;
};
template <typename Char = TCHAR>
class TJsonReader
{
};
template <typename Char = TCHAR>
struct TJsonReaderFactory
{
	static TSharedRef<TJsonReader<Char>> Create(const FString& Text);
};
struct FJsonSerializer
{
	static bool Deserialize(const TSharedRef<TJsonReader<>>& Reader, TSharedPtr<FJsonObject>& Object);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Projects/IPluginManager
class IPlugin
{
public:
	virtual FString GetBaseDir() const = 0;
};
class IPluginManager
{
public:
	static IPluginManager& Get();
	virtual TSharedPtr<IPlugin> FindPlugin(const FString& Name) = 0;
};
struct FFileHelper
{
	static bool LoadFileToString(FString& Text, const TCHAR* Path);
};
struct FPaths
{
	static FString Combine(const FString& One, const FString& Other);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/write-cplusplus-tests-in-unreal-engine
enum class EAutomationTestFlags : uint32 { EditorContext = 1, EngineFilter = 2 };
constexpr EAutomationTestFlags operator|(EAutomationTestFlags One, EAutomationTestFlags Other)
{
	return static_cast<EAutomationTestFlags>(static_cast<uint32>(One) | static_cast<uint32>(Other));
}
class FAutomationTestBase
{
public:
	virtual ~FAutomationTestBase() = default;
	virtual bool RunTest(const FString& Parameters) = 0;
	bool TestTrue(const FString& What, bool bValue);
	template <typename T>
	bool TestEqual(const FString& What, const T& Actual, const T& Expected);
};
#define IMPLEMENT_SIMPLE_AUTOMATION_TEST(Class, Name, Flags) \
	class Class : public FAutomationTestBase { public: virtual bool RunTest(const FString& Parameters) override; }; \
	static_assert(sizeof(Name) > 1 && static_cast<uint32>(Flags) != 0);
