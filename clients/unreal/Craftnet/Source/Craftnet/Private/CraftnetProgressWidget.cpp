#include "CraftnetProgressWidget.h"

#include "Components/ProgressBar.h"

void UCraftnetProgressWidget::Show(UCraftnetSession* InSession)
{
	Session = InSession;
}

void UCraftnetProgressWidget::NativeTick(const FGeometry& Geometry, float DeltaSeconds)
{
	Super::NativeTick(Geometry, DeltaSeconds);
	if (Session.IsValid() && Session->GetShown(Shown) && Bar != nullptr)
	{
		Bar->SetPercent(Shown.Percent / 100.0f);
	}
}
