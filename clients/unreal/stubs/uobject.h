// Objects, as far as the plugin uses them. See engine.h.
#pragma once

#include "engine.h"

// https://dev.epicgames.com/documentation/en-us/unreal-engine/unreal-engine-uproperties (and UFUNCTIONs, UCLASS specifiers)
#define UCLASS(...)
#define USTRUCT(...)
#define UENUM(...)
#define UPROPERTY(...)
#define UFUNCTION(...)
#define STUB_JOIN_(A, B, C) A##B##C
#define STUB_JOIN(A, B, C) STUB_JOIN_(A, B, C)
// check.py writes what it expands to, by the line, into the header's .generated.h.
#define GENERATED_BODY() STUB_JOIN(STUB_FILE, _, __LINE__)

class UClass;
class UWorld;

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/CoreUObject/UObject/UObject
class UObject
{
public:
	virtual ~UObject() = default;
	virtual void BeginDestroy();
	virtual UWorld* GetWorld() const;
};
template <typename T>
T* NewObject();
template <typename T>
T* NewObject(UObject* Outer);
template <typename T>
const T* GetDefault();

template <typename T>
class TObjectPtr
{
public:
	TObjectPtr() = default;
	TObjectPtr(T* Object);
	TObjectPtr(std::nullptr_t);
	T* operator->() const;
	operator T*() const;
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/UObject/TWeakObjectPtr
template <typename T>
class TWeakObjectPtr
{
public:
	TWeakObjectPtr() = default;
	TWeakObjectPtr(T* Object);
	bool IsValid() const;
	T* Get() const;
	T* operator->() const;
	void Reset();
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/programming-subsystems-in-unreal-engine
class FSubsystemCollectionBase
{
};
class UGameInstanceSubsystem : public UObject
{
public:
	virtual void Initialize(FSubsystemCollectionBase& Collection);
	virtual void Deinitialize();
};
class UGameInstance : public UObject
{
public:
	template <typename T>
	T* GetSubsystem() const;
};
class UWorld : public UObject
{
public:
	UGameInstance* GetGameInstance() const;
};
class UDeveloperSettings : public UObject
{
};
enum class EGetWorldErrorMode { ReturnNull, LogAndReturnNull, Assert };
class UEngine : public UObject
{
public:
	UWorld* GetWorldFromContextObject(const UObject* Object, EGetWorldErrorMode Mode) const;
};
extern UEngine* GEngine;

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Engine/Components/UActorComponent
namespace EEndPlayReason { enum Type { Destroyed, Quit }; }
class UActorComponent : public UObject
{
public:
	virtual void BeginPlay();
	virtual void EndPlay(const EEndPlayReason::Type Reason);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Engine/Kismet/UBlueprintAsyncActionBase
class UBlueprintAsyncActionBase : public UObject
{
public:
	virtual void Activate();
	virtual void RegisterWithGameInstance(const UObject* Context);
	virtual void SetReadyToDestroy();
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/UMG/Blueprint/UUserWidget
struct FGeometry
{
};
class UUserWidget : public UObject
{
protected:
	virtual void NativeTick(const FGeometry& Geometry, float DeltaSeconds);
};
class UProgressBar : public UObject
{
public:
	void SetPercent(float Percent);
};

// https://dev.epicgames.com/documentation/en-us/unreal-engine/API/Runtime/Core/HAL/FAutoConsoleCommandWithWorldAndArgs
using FConsoleCommandWithWorldAndArgsDelegate = TStubDelegate<void, const TArray<FString>&, UWorld*>;
class FAutoConsoleCommandWithWorldAndArgs
{
public:
	FAutoConsoleCommandWithWorldAndArgs(const TCHAR* Name, const TCHAR* Help, const FConsoleCommandWithWorldAndArgsDelegate& Command);
};
