#pragma once

#include "CoreMinimal.h"
#include "Blueprint/UserWidget.h"
#include "CraftnetSession.h"
#include "CraftnetProgressWidget.generated.h"

class UProgressBar;

/** The parent of a widget Blueprint with a progress bar called Bar, whose value it sets in every frame. */
UCLASS(Abstract)
class CRAFTNET_API UCraftnetProgressWidget : public UUserWidget
{
	GENERATED_BODY()

public:
	/** Shows this session; null: none. */
	UFUNCTION(BlueprintCallable, Category = "Craftnet")
	void Show(UCraftnetSession* InSession);

	/** The bar's value. */
	UPROPERTY(BlueprintReadOnly, Category = "Craftnet")
	FCraftnetShown Shown;

protected:
	virtual void NativeTick(const FGeometry& Geometry, float DeltaSeconds) override;

	UPROPERTY(meta = (BindWidgetOptional))
	TObjectPtr<UProgressBar> Bar;

private:
	TWeakObjectPtr<UCraftnetSession> Session;
};
